"""The fields of Kubernetes objects that answers need, in Kubernetes' own shape; nothing else is ever decoded.

Each type is decoded straight from JSON: undeclared fields (Secret payloads, env values, annotations, managedFields)
are skipped unbuilt and can therefore never reach an output (hardening.md §6). Any list or map may be null, as Go
encodes it. All types are frozen and ``gc=False``: they hold no cycles, and 150,000 pods would cost the collector dear.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import msgspec

from graphsec.algebra.selectors import LabelSelector
from graphsec.model.rbac import PolicyRule
from graphsec.model.ref import Ref, Source


class OwnerReference(msgspec.Struct, frozen=True, gc=False):
    #: The API server demands both; manifests written by hand leave them out.
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class Annotations(msgspec.Struct, frozen=True, gc=False):
    """The annotations with a meaning for access; all others are not stored."""

    service_account_name: str | None = msgspec.field(name="kubernetes.io/service-account.name", default=None)
    #: Of a ServiceAccount: the cloud identities that trust it (attacks.md §3.9).
    aws_role: str | None = msgspec.field(name="eks.amazonaws.com/role-arn", default=None)
    google_account: str | None = msgspec.field(name="iam.gke.io/gcp-service-account", default=None)
    azure_client: str | None = msgspec.field(name="azure.workload.identity/client-id", default=None)


class Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    generate_name: str = ""
    namespace: str | None = None
    labels: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class AnnotatedMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    annotations: Annotations | None = None


class StoredMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    #: Set by an API server only: an object that has one was read from a cluster, not from a manifest (S-52).
    uid: str | None = None


class Object(msgspec.Struct, frozen=True, gc=False, rename="camel", kw_only=True):
    api_version: str = ""
    kind: str = ""
    metadata: Metadata


class Plain(Object, frozen=True, gc=False):
    """An object of which only the identity matters (Namespace, Node, ServiceAccount, ConfigMap)."""


class ServiceAccount(Object, frozen=True, gc=False, rename="camel"):
    metadata: AnnotatedMetadata
    automount_service_account_token: bool | None = None


class Secret(Object, frozen=True, gc=False):
    """Type and metadata; ``data`` and ``stringData`` are not fields on purpose."""

    metadata: AnnotatedMetadata
    type: str = ""


class NodeInfo(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    kubelet_version: str = ""


class NodeAddress(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    address: str = ""


class Taint(msgspec.Struct, frozen=True, gc=False):
    key: str = ""
    effect: str = ""


class NodeSpec(msgspec.Struct, frozen=True, gc=False):
    taints: tuple[Taint, ...] | None = None
    #: Names the machine in its cloud, e.g. `aws:///eu-central-1a/i-1`.
    provider_id: str = msgspec.field(name="providerID", default="")


class NodeStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    node_info: NodeInfo | None = None
    addresses: tuple[NodeAddress, ...] | None = None


class Node(Object, frozen=True, gc=False):
    spec: NodeSpec | None = None
    status: NodeStatus | None = None

    @property
    def minor(self) -> str:
        """`1.34` of the kubelet's version, "" if the object does not say."""
        info = self.status.node_info if self.status else None
        return ".".join(info.kubelet_version.removeprefix("v").split(".")[:2]) if info else ""


class Named(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None


class SecretVolume(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    secret_name: str | None = None


class ClaimVolume(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    claim_name: str | None = None


class TokenProjection(msgspec.Struct, frozen=True, gc=False):
    audience: str | None = None


class Projection(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    secret: Named | None = None
    config_map: Named | None = None
    service_account_token: TokenProjection | None = None


class Projected(msgspec.Struct, frozen=True, gc=False):
    sources: tuple[Projection, ...] | None = None


class HostPath(msgspec.Struct, frozen=True, gc=False):
    path: str = ""


class Present(msgspec.Struct, frozen=True, gc=False):
    """A field of which only matters that it is set."""


class Volume(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    secret: SecretVolume | None = None
    config_map: Named | None = None
    persistent_volume_claim: ClaimVolume | None = None
    projected: Projected | None = None
    host_path: HostPath | None = None
    #: The types that the Restricted standard forbids beside hostPath (`check_restrictedVolumes.go`).
    aws_elastic_block_store: Present | None = msgspec.field(name="awsElasticBlockStore", default=None)
    azure_disk: Present | None = None
    azure_file: Present | None = None
    cephfs: Present | None = None
    cinder: Present | None = None
    fc: Present | None = None
    flex_volume: Present | None = None
    flocker: Present | None = None
    gce_persistent_disk: Present | None = None
    git_repo: Present | None = None
    glusterfs: Present | None = None
    iscsi: Present | None = None
    nfs: Present | None = None
    photon_persistent_disk: Present | None = None
    portworx_volume: Present | None = None
    quobyte: Present | None = None
    rbd: Present | None = None
    scale_io: Present | None = msgspec.field(name="scaleIO", default=None)
    storageos: Present | None = None
    vsphere_volume: Present | None = None


class KeyRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    secret_key_ref: Named | None = None
    config_map_key_ref: Named | None = None


class Env(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Where a variable comes from; its literal value is not a field on purpose."""

    value_from: KeyRef | None = None


class EnvFrom(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    secret_ref: Named | None = None
    config_map_ref: Named | None = None


class ContainerPort(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    container_port: int = 0
    name: str | None = None
    #: Null and absent are TCP.
    protocol: str | None = None
    host_port: int | None = None
    host_ip: str | None = msgspec.field(name="hostIP", default=None)


class Capabilities(msgspec.Struct, frozen=True, gc=False):
    add: tuple[str, ...] | None = None
    drop: tuple[str, ...] | None = None


class TypedProfile(msgspec.Struct, frozen=True, gc=False):
    """A seccomp or AppArmor profile: RuntimeDefault, Localhost or Unconfined."""

    type: str | None = None


class SELinuxOptions(msgspec.Struct, frozen=True, gc=False):
    type: str | None = None
    user: str | None = None
    role: str | None = None


class WindowsOptions(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    host_process: bool | None = None


class Sysctl(msgspec.Struct, frozen=True, gc=False):
    name: str = ""


class SecurityContext(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Of a container, and of a pod, whose own fields are the last two."""

    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    capabilities: Capabilities | None = None
    proc_mount: str | None = None
    run_as_user: int | None = None
    run_as_non_root: bool | None = None
    se_linux_options: SELinuxOptions | None = None
    seccomp_profile: TypedProfile | None = None
    app_armor_profile: TypedProfile | None = None
    windows_options: WindowsOptions | None = None
    sysctls: tuple[Sysctl, ...] | None = None


class VolumeMount(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    mount_path: str = ""
    read_only: bool | None = None
    sub_path: str | None = None
    sub_path_expr: str | None = None
    mount_propagation: str | None = None


class VolumeDevice(msgspec.Struct, frozen=True, gc=False):
    name: str = ""


class HostAction(msgspec.Struct, frozen=True, gc=False):
    host: str | None = None


class Handler(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a probe or a lifecycle hook does."""

    http_get: HostAction | None = None
    tcp_socket: HostAction | None = None


class Lifecycle(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    post_start: Handler | None = None
    pre_stop: Handler | None = None


class Container(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    image: str | None = None
    env: tuple[Env, ...] | None = None
    env_from: tuple[EnvFrom, ...] | None = None
    ports: tuple[ContainerPort, ...] | None = None
    #: `Always` makes an init container a sidecar, whose ports count (N-09e).
    restart_policy: str | None = None
    security_context: SecurityContext | None = None
    volume_mounts: tuple[VolumeMount, ...] | None = None
    volume_devices: tuple[VolumeDevice, ...] | None = None
    liveness_probe: Handler | None = None
    readiness_probe: Handler | None = None
    startup_probe: Handler | None = None
    lifecycle: Lifecycle | None = None


class OperatingSystem(msgspec.Struct, frozen=True, gc=False):
    name: str = ""


class PodSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    service_account_name: str | None = None
    #: The deprecated spelling of ``serviceAccountName``.
    service_account: str | None = None
    automount_service_account_token: bool | None = None
    node_name: str | None = None
    host_network: bool | None = None
    host_pid: bool | None = msgspec.field(name="hostPID", default=None)
    host_ipc: bool | None = msgspec.field(name="hostIPC", default=None)
    host_users: bool | None = None
    share_process_namespace: bool | None = None
    runtime_class_name: str | None = None
    os: OperatingSystem | None = None
    security_context: SecurityContext | None = None
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    ephemeral_containers: tuple[Container, ...] | None = None
    volumes: tuple[Volume, ...] | None = None

    @property
    def account(self) -> str:
        """The ServiceAccount that the pod acts as (S-92)."""
        return self.service_account_name or self.service_account or "default"

    @property
    def all_containers(self) -> tuple[Container, ...]:
        """Init and ephemeral ones, too: code runs in each of them."""
        return (*(self.containers or ()), *(self.init_containers or ()), *(self.ephemeral_containers or ()))

    def ports(self) -> list[ContainerPort]:
        """Of all containers that run beside each other: init containers only if they are sidecars (N-09d, N-09e)."""
        sidecars = [found for found in self.init_containers or () if found.restart_policy == "Always"]
        return [port for container in (*(self.containers or ()), *sidecars) for port in container.ports or ()]


class PodIP(msgspec.Struct, frozen=True, gc=False):
    ip: str = ""


class PodStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    phase: str = ""
    pod_ip: str | None = msgspec.field(name="podIP", default=None)
    #: All addresses, the first equal to ``pod_ip``; None where that is the only one.
    pod_ips: tuple[PodIP, ...] | None = msgspec.field(name="podIPs", default=None)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(found.ip for found in self.pod_ips or () if found.ip) or ((self.pod_ip,) if self.pod_ip else ())

    @property
    def finished(self) -> bool:
        """Such a pod has given its address back (N-18a)."""
        return self.phase in ("Succeeded", "Failed")


MIRROR = "kubernetes.io/config.mirror"
#: Followed by the name of a container: how its AppArmor profile was given before it became a field.
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"


class PodMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    #: Those with a meaning, undecoded: their keys may hold names of containers, and most pods have none.
    annotations: msgspec.Raw = msgspec.Raw()


class Pod(Object, frozen=True, gc=False):
    metadata: PodMetadata
    spec: PodSpec = PodSpec()
    status: PodStatus | None = None

    @property
    def annotations(self) -> dict[str, str]:
        """``MIRROR`` and the AppArmor profiles."""
        written = self.metadata.annotations
        return msgspec.json.decode(written, type=dict[str, str]) if bytes(written) else {}


class TemplateMetadata(msgspec.Struct, frozen=True, gc=False):
    labels: dict[str, str] | None = None


class PodTemplate(msgspec.Struct, frozen=True, gc=False):
    metadata: TemplateMetadata | None = None
    spec: PodSpec = PodSpec()


class Ordinals(msgspec.Struct, frozen=True, gc=False):
    start: int = 0


class TemplateSpec(msgspec.Struct, frozen=True, gc=False):
    template: PodTemplate | None = None
    replicas: int | None = None
    #: Of a StatefulSet.
    ordinals: Ordinals | None = None


class JobStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    completion_time: str | None = None


class Controller(Object, frozen=True, gc=False):
    """A controller with a pod template: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, ReplicationController."""

    spec: TemplateSpec | None = None
    #: Read of Jobs.
    status: JobStatus | None = None

    @property
    def template(self) -> PodTemplate | None:
        return self.spec.template if self.spec else None

    @property
    def pod_spec(self) -> PodSpec | None:
        return self.template.spec if self.template else None


class JobTemplate(msgspec.Struct, frozen=True, gc=False):
    spec: TemplateSpec | None = None


class CronJobSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    job_template: JobTemplate | None = None


class CronJob(Object, frozen=True, gc=False):
    spec: CronJobSpec | None = None

    @property
    def template(self) -> PodTemplate | None:
        job = self.spec.job_template.spec if self.spec and self.spec.job_template else None
        return job.template if job else None

    @property
    def pod_spec(self) -> PodSpec | None:
        return self.template.spec if self.template else None


class ClaimSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    volume_name: str | None = None
    storage_class_name: str | None = None


class Claim(Object, frozen=True, gc=False):
    spec: ClaimSpec | None = None


class ClaimReference(msgspec.Struct, frozen=True, gc=False):
    namespace: str = ""
    name: str = ""


class PersistentVolumeSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    host_path: HostPath | None = None
    local: HostPath | None = None
    claim_ref: ClaimReference | None = None
    storage_class_name: str | None = None

    @property
    def path(self) -> str | None:
        """The path on a node that the volume is, None for storage of another kind."""
        found = self.host_path or self.local
        return found.path if found else None


class PersistentVolume(Object, frozen=True, gc=False):
    spec: PersistentVolumeSpec | None = None


class BackupTemplate(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    included_namespaces: tuple[str, ...] | None = None
    excluded_namespaces: tuple[str, ...] | None = None


class ScheduleSpec(msgspec.Struct, frozen=True, gc=False):
    template: BackupTemplate | None = None
    paused: bool = False


class Schedule(Object, frozen=True, gc=False):
    """Of Velero."""

    spec: ScheduleSpec | None = None

    def includes(self, namespace: str) -> bool:
        """No list is every namespace; names may have wildcards (velero.io/docs, API type Schedule)."""
        if self.spec is None or self.spec.paused:
            return False
        template = self.spec.template or BackupTemplate()
        included, excluded = template.included_namespaces or ("*",), template.excluded_namespaces or ()
        return any(fnmatchcase(namespace, name) for name in included) and not any(
            fnmatchcase(namespace, name) for name in excluded
        )


class Names(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    kind: str
    plural: str
    singular: str | None = None
    short_names: tuple[str, ...] | None = None


class Version(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    subresources: dict[str, msgspec.Raw] | None = None


class DefinitionSpec(msgspec.Struct, frozen=True, gc=False):
    group: str
    names: Names
    scope: str
    versions: tuple[Version, ...] | None = None
    #: apiextensions.k8s.io/v1beta1
    subresources: dict[str, msgspec.Raw] | None = None


class CustomResourceDefinition(Object, frozen=True, gc=False):
    spec: DefinitionSpec

    def subresources(self) -> list[str]:
        blocks = [self.spec.subresources, *(version.subresources for version in self.spec.versions or ())]
        return sorted({name for block in blocks for name in block or {}})


class APIServiceSpec(msgspec.Struct, frozen=True, gc=False):
    group: str | None = None
    version: str | None = None
    service: Named | None = None


class APIService(Object, frozen=True, gc=False):
    spec: APIServiceSpec | None = None


class AggregationRule(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    cluster_role_selectors: tuple[LabelSelector, ...] | None = None


class WireRole(Object, frozen=True, gc=False, rename="camel"):
    """A Role or ClusterRole as encoded; each rule is decoded by itself, so that equal rules are decoded once."""

    metadata: StoredMetadata
    rules: tuple[msgspec.Raw, ...] | None = None
    aggregation_rule: AggregationRule | None = None


class StoredRole(msgspec.Struct, frozen=True, kw_only=True):
    """A Role or ClusterRole as it stands in the input, before aggregation."""

    rules: tuple[PolicyRule, ...]
    labels: dict[str, str]
    #: None without aggregationRule; an empty tuple selects nothing.
    selectors: tuple[LabelSelector, ...] | None
    #: True if read from an API server, whose controller has already aggregated (S-52).
    live: bool


class RoleRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    kind: str = ""
    name: str = ""
    api_group: str | None = None


class WireSubject(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    kind: str = ""
    name: str = ""
    namespace: str | None = None
    #: Validated, and not consulted when authorizing (S-42).
    api_group: str | None = None


class WireBinding(Object, frozen=True, gc=False, rename="camel"):
    role_ref: RoleRef = RoleRef()
    subjects: tuple[WireSubject, ...] | None = None


class Loaded(msgspec.Struct, frozen=True, gc=False):
    """An object as it was loaded: who it is, where it stands, what it says."""

    ref: Ref
    source: Source
    body: Any
    #: 1-based lines of the rules of a role; empty for every other kind.
    lines: tuple[int, ...] = ()
