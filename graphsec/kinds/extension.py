"""Objects that extend the API: custom resources, aggregated API servers, admission webhooks."""

from graphsec.kinds._kind import Kind
from graphsec.model import objects

_BETA = ("v1beta1",)

KINDS = (
    Kind(
        group="apiextensions.k8s.io",
        kind="CustomResourceDefinition",
        body=objects.CustomResourceDefinition,
        old_versions=_BETA,
    ),
    Kind(group="apiregistration.k8s.io", kind="APIService", body=objects.APIService, old_versions=_BETA),
    Kind(
        group="admissionregistration.k8s.io",
        kind="ValidatingWebhookConfiguration",
        body=objects.Plain,
        old_versions=_BETA,
    ),
    Kind(
        group="admissionregistration.k8s.io",
        kind="MutatingWebhookConfiguration",
        body=objects.Plain,
        old_versions=_BETA,
    ),
)
