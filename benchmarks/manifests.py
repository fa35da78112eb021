"""What objects look like in a cluster: the fields that an API server, a kubelet and controllers fill in."""

from __future__ import annotations

import uuid
from random import Random
from typing import Any, NamedTuple

Object = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
_CREATED = "2025-11-03T08:15:42Z"


class Workload(NamedTuple):
    namespace: str
    name: str
    component: str
    version: str
    template_hash: str
    replicas: int


def metadata(name: str, namespace: str = "", *, labels: dict[str, str] | None = None) -> Object:
    """What the API server adds to every object; the uid follows from the name, so that no order matters."""
    filled = {
        "creationTimestamp": _CREATED,
        "name": name,
        "resourceVersion": str(sum(name.encode()) * 7919 % 900_000 + 100_000),
        "uid": str(uuid.UUID(int=Random(f"{namespace}/{name}").getrandbits(128), version=4)),
    }
    return filled | ({"namespace": namespace} if namespace else {}) | ({"labels": labels} if labels else {})


def namespace_object(name: str) -> Object:
    labels = {"kubernetes.io/metadata.name": name, "pod-security.kubernetes.io/enforce": "baseline"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata(name, labels=labels),
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _node_name(number: int) -> str:
    return f"node-{number:04}.example.internal"


def _host_ip(number: int) -> str:
    return f"172.16.{number // 250}.{number % 250 + 1}"


def node_object(number: int) -> Object:
    name = _node_name(number)
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": f"zone-{number % 3}",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata(name, labels=labels),
        "spec": {"podCIDR": f"10.{number // 256 + 8}.{number % 256}.0/24", "providerID": f"example:///{name}"},
        "status": {
            "addresses": [
                {"address": _host_ip(number), "type": "InternalIP"},
                {"address": name, "type": "Hostname"},
            ],
            "capacity": {"cpu": "32", "memory": "131072Mi", "pods": "110"},
            "nodeInfo": {"kubeletVersion": "v1.35.1", "operatingSystem": "linux"},
        },
    }


def _policy(selector: Object, **directions: list[Object]) -> Object:
    types = [word.capitalize() for word in directions]
    return {"podSelector": selector, "policyTypes": types, **{key: rules for key, rules in directions.items() if rules}}


def _tier(component: str) -> Object:
    return {"matchLabels": {"app.kubernetes.io/component": component}}


_DNS_PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
_DNS_PORTS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
_OUTSIDE = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.169.254/32", "172.16.0.0/12"]}}
POLICIES: list[tuple[str, Object]] = [
    ("default-deny", _policy({}, ingress=[], egress=[])),
    ("allow-dns", _policy({}, egress=[{"to": [_DNS_PEER], "ports": _DNS_PORTS}])),
    ("allow-same-namespace", _policy({}, ingress=[{"from": [{"podSelector": {}}]}])),
    (
        "web-to-api",
        _policy(
            _tier("api"),
            ingress=[{"from": [{"podSelector": _tier("web")}], "ports": [{"port": "http", "protocol": "TCP"}]}],
        ),
    ),
    (
        "gateway-to-outside",
        _policy(_tier("gateway"), egress=[{"to": [_OUTSIDE], "ports": [{"port": 443, "endPort": 444}]}]),
    ),
]


def _labels(workload: Workload) -> dict[str, str]:
    return {
        "app.kubernetes.io/component": workload.component,
        "app.kubernetes.io/name": workload.name,
        "app.kubernetes.io/version": workload.version,
    }


def service(workload: Workload) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(workload.name, workload.namespace, labels=_labels(workload)),
        "spec": {
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
            "selector": {"app.kubernetes.io/name": workload.name},
            "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    }


def deployment(workload: Workload) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(workload.name, workload.namespace, labels=_labels(workload)),
        "spec": {
            "replicas": workload.replicas,
            "selector": {"matchLabels": {"app.kubernetes.io/name": workload.name}},
            "template": {"metadata": {"labels": _labels(workload)}, "spec": _pod_spec(workload)},
        },
        "status": {"readyReplicas": workload.replicas, "replicas": workload.replicas},
    }


def _image(workload: Workload) -> str:
    return f"registry.example.com/{workload.component}/{workload.name}:{workload.version}"


def _pod_spec(workload: Workload, *, token_volume: str = "") -> Object:
    """The spec in a template, or with the token volume that admission adds to the one of a pod."""
    mounts: list[Object] = [{"mountPath": "/etc/app", "name": "config"}]
    volumes: list[Object] = [{"configMap": {"defaultMode": 420, "name": f"{workload.name}-config"}, "name": "config"}]
    if token_volume:
        mounts.append(
            {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": token_volume, "readOnly": True}
        )
        volumes.append(_projected(token_volume))
    return {
        "containers": [_container(workload, mounts)],
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "securityContext": {"fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "serviceAccount": workload.component,
        "serviceAccountName": workload.component,
        "terminationGracePeriodSeconds": 30,
        "tolerations": [
            {
                "effect": "NoExecute",
                "key": f"node.kubernetes.io/{state}",
                "operator": "Exists",
                "tolerationSeconds": 300,
            }
            for state in ("not-ready", "unreachable")
        ],
        "volumes": volumes,
    }


def _container(workload: Workload, mounts: list[Object]) -> Object:
    secret = {"secretKeyRef": {"key": "password", "name": f"{workload.name}-db"}}
    # One component in eight is what an attack graph looks for.
    hardened = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    return {
        "args": ["--config=/etc/app/config.yaml", "--listen=:8080"],
        "env": [
            {"name": "DB_PASSWORD", "valueFrom": secret},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
        ],
        "image": _image(workload),
        "imagePullPolicy": "IfNotPresent",
        "name": workload.component,
        "ports": [
            {"containerPort": 8080, "name": "http", "protocol": "TCP"},
        ],
        "readinessProbe": _probe("/readyz"),
        "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "securityContext": {"privileged": True} if workload.component == "scheduler" else hardened,
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }


def _probe(path: str) -> Object:
    return {
        "failureThreshold": 3,
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": 10,
        "successThreshold": 1,
        "timeoutSeconds": 5,
    }


def _projected(name: str) -> Object:
    namespace = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "name": name,
        "projected": {
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
                {"downwardAPI": {"items": [{"fieldRef": namespace, "path": "namespace"}]}},
            ],
        },
    }


def pod(workload: Workload, rng: Random, *, number: int, node: int) -> Object:
    """Pods of one workload differ only by name, uid, times, addresses, node, container id and token volume."""
    owner = f"{workload.name}-{workload.template_hash}"
    name = f"{owner}-{word(rng, 5)}{number % 10}"
    reference = {"apiVersion": "apps/v1", "blockOwnerDeletion": True, "controller": True, "kind": "ReplicaSet"}
    reference |= {"name": owner, "uid": metadata(owner, workload.namespace)["uid"]}
    about = metadata(name, workload.namespace, labels=_labels(workload) | {"pod-template-hash": workload.template_hash})
    about["annotations"] = {"prometheus.io/port": "8080", "prometheus.io/scrape": "true"}
    about["generateName"] = f"{owner}-"
    about["ownerReferences"] = [reference]
    started = f"2025-12-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:{rng.randrange(60):02}:07Z"
    spec = _pod_spec(workload, token_volume=f"kube-api-access-{word(rng, 5)}")
    spec["nodeName"] = _node_name(node)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": about,
        "spec": spec,
        "status": _pod_status(workload, rng, started=started, number=number, node=node),
    }


def _pod_status(workload: Workload, rng: Random, *, started: str, number: int, node: int) -> Object:
    address = f"10.{64 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
    conditions = ("Ready", "ContainersReady", "PodScheduled")
    image = _image(workload)
    return {
        "conditions": [
            {"lastProbeTime": None, "lastTransitionTime": started, "status": "True", "type": kind}
            for kind in conditions
        ],
        "containerStatuses": [
            {
                "containerID": f"containerd://{rng.getrandbits(256):064x}",
                "image": image,
                "imageID": f"{image.partition(':')[0]}@sha256:{Random(image).getrandbits(256):064x}",
                "lastState": {},
                "name": workload.component,
                "ready": True,
                "restartCount": rng.choice((0, 0, 0, 1, 4)),
                "started": True,
                "state": {"running": {"startedAt": started}},
            }
        ],
        "hostIP": _host_ip(node),
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "qosClass": "Burstable",
        "startTime": started,
    }


def word(rng: Random, length: int) -> str:
    """From the letters that Kubernetes draws its generated names from."""
    return "".join(rng.choices("bcdfghjklmnpqrstvwxz2456789", k=length))
