"""The closed vocabularies of the typed graph (style.md §4.5)."""

from __future__ import annotations

import enum


class NodeKind(enum.StrEnum):
    USER = "User"
    GROUP = "Group"
    SERVICE_ACCOUNT = "ServiceAccount"
    ROLE = "Role"
    CLUSTER_ROLE = "ClusterRole"
    ROLE_BINDING = "RoleBinding"
    CLUSTER_ROLE_BINDING = "ClusterRoleBinding"
    #: One distinct policy rule; roles with the same rule share it.
    PERMISSION = "Permission"
    NAMESPACE = "Namespace"
    NODE = "Node"
    POD = "Pod"
    WORKLOAD = "Workload"
    SECRET = "Secret"
    CONFIG_MAP = "ConfigMap"
    CLAIM = "PersistentVolumeClaim"
    VOLUME = "PersistentVolume"
    SERVICE = "Service"
    INGRESS = "Ingress"
    #: Pods that no policy tells apart.
    PEER_GROUP = "PeerGroup"
    #: A part of the address space outside the cluster.
    ADDRESSES = "Addresses"
    #: Traffic that each of its sources may send to each of its destinations.
    CONNECTIONS = "Connections"
    #: Several things at once, or a place, that an attacker may have: every pod of a namespace, the files of a pod.
    HUB = "Hub"
    #: Something that requests of an identity under control can do, or a role that it holds.
    POWER = "Power"
    #: An attack step that needs all that leads into it.
    JOIN = "Join"
    #: What must not fall: cluster-admin, a node, all Secrets, an identity at the cloud provider.
    SINK = "Sink"
    #: Everything else that was loaded: kept in the inventory.
    OTHER = "Other"


class EdgeKind(enum.StrEnum):
    #: Principal to an implicit or listed group (S-46).
    MEMBER_OF = "member-of"
    #: Subject to binding.
    HOLDS = "holds"
    #: Binding to role (roleRef); scope is the binding's.
    REFERS_TO = "refers-to"
    #: Role to permission.
    PERMITS = "permits"
    #: Pod or workload to the ServiceAccount it acts as.
    RUNS_AS = "runs-as"
    #: Node to pod.
    HOSTS = "hosts"
    #: Pod or workload to Secret, ConfigMap or claim.
    MOUNTS = "mounts"
    #: Pod or workload to its controller.
    OWNED_BY = "owned-by"
    #: Claim to volume.
    BOUND_TO = "bound-to"
    #: Ingress to service.
    ROUTES_TO = "routes-to"
    #: Pod or workload to the group of those that policies do not tell apart.
    IN_GROUP = "in-group"
    #: Group or addresses to connections, connections to group or addresses; the scope names the ports.
    MAY_CONNECT = "may-connect"
    #: What an attacker has, or its join, to what follows; the scope is the rule, `rule [ASSUMPTION, ...]` if it takes any.
    ATTACK = "attack"
