package main

import (
	"fmt"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const table = "parlor-policies"

// cluster is what the rules depend on.
type cluster struct {
	pods       []core.Pod
	namespaces map[string]core.Namespace
	policies   []network.NetworkPolicy
}

// side is one direction of the traffic of one pod.
type side struct {
	kind       network.PolicyType
	own, other string // nftables' words for the pod's address and its peer's
}

var sides = []side{
	{network.PolicyTypeIngress, "daddr", "saddr"},
	{network.PolicyTypeEgress, "saddr", "daddr"},
}

// rules is the script that replaces the table; the same cluster always gives the same script.
func (c cluster) rules() string {
	var jumps, chains strings.Builder
	for _, pod := range c.pods {
		for _, side := range sides {
			if allowed, isolated := c.allowed(pod, side); isolated {
				name := strings.ToLower(string(side.kind)) + "-" + pod.Status.PodIP
				fmt.Fprintf(&jumps, "    ip %s %s jump %s\n", side.own, pod.Status.PodIP, name)
				fmt.Fprintf(&chains, "  chain %s {\n%s    counter drop\n  }\n", name, strings.Join(allowed, ""))
			}
		}
	}
	return fmt.Sprintf("table ip %[1]s\ndelete table ip %[1]s\ntable ip %[1]s {\n%[3]s  chain forward {\n"+
		"    type filter hook forward priority filter; policy accept;\n    ct state established,related accept\n%[2]s  }\n}\n",
		table, jumps.String(), chains.String())
}

// allowed is what the pod's policies let through on one side, and whether it has any there.
func (c cluster) allowed(pod core.Pod, side side) (allowed []string, isolated bool) {
	for _, policy := range c.policies {
		if policy.Namespace != pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, side.kind) ||
			!selects(policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		isolated = true
		if side.kind == network.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				allowed = append(allowed, c.rule(policy.Namespace, side, rule.From, rule.Ports, &pod)...)
			}
		} else {
			for _, rule := range policy.Spec.Egress {
				allowed = append(allowed, c.rule(policy.Namespace, side, rule.To, rule.Ports, nil)...)
			}
		}
	}
	return allowed, isolated
}

// rule is one line for each pair of a peer and a port; no peers or no ports mean any.
func (c cluster) rule(namespace string, side side, peers []network.NetworkPolicyPeer, ports []network.NetworkPolicyPort, pod *core.Pod) []string {
	from := []string{""}
	if len(peers) > 0 {
		from = nil
		for _, peer := range peers {
			from = append(from, c.peer(namespace, side, peer)...)
		}
	}
	through := []string{""}
	if len(ports) > 0 {
		through = nil
		for _, port := range ports {
			through = append(through, match(port, pod)...)
		}
	}
	var lines []string
	for _, f := range from {
		for _, t := range through {
			lines = append(lines, fmt.Sprintf("    %s%sreturn\n", f, t))
		}
	}
	return lines
}

func (c cluster) peer(namespace string, side side, peer network.NetworkPolicyPeer) []string {
	if block := peer.IPBlock; block != nil {
		line := fmt.Sprintf("ip %s %s ", side.other, block.CIDR)
		if len(block.Except) > 0 {
			line += fmt.Sprintf("ip %s != { %s } ", side.other, strings.Join(block.Except, ", "))
		}
		return []string{line}
	}
	var addresses []string
	for _, pod := range c.pods {
		there := pod.Namespace == namespace
		if peer.NamespaceSelector != nil {
			there = selects(*peer.NamespaceSelector, c.namespaces[pod.Namespace].Labels)
		}
		if there && (peer.PodSelector == nil || selects(*peer.PodSelector, pod.Labels)) {
			addresses = append(addresses, pod.Status.PodIP)
		}
	}
	if len(addresses) == 0 {
		return nil
	}
	slices.Sort(addresses)
	return []string{fmt.Sprintf("ip %s { %s } ", side.other, strings.Join(addresses, ", "))}
}

// match is nothing for a name that the pod has no port of; names are known of the pod that a policy selects only.
func match(port network.NetworkPolicyPort, pod *core.Pod) []string {
	protocol := core.ProtocolTCP
	if port.Protocol != nil {
		protocol = *port.Protocol
	}
	word := strings.ToLower(string(protocol))
	switch {
	case port.Port == nil:
		return []string{fmt.Sprintf("meta l4proto %s ", word)}
	case port.EndPort != nil:
		return []string{fmt.Sprintf("%s dport %d-%d ", word, port.Port.IntVal, *port.EndPort)}
	case port.Port.Type == intstr.Int:
		return []string{fmt.Sprintf("%s dport %d ", word, port.Port.IntVal)}
	}
	var lines []string
	if pod != nil {
		for _, container := range pod.Spec.Containers {
			for _, named := range container.Ports {
				if named.Name == port.Port.StrVal && named.Protocol == protocol {
					lines = append(lines, fmt.Sprintf("%s dport %d ", word, named.ContainerPort))
				}
			}
		}
	}
	return lines
}

func selects(selector meta.LabelSelector, of map[string]string) bool {
	wanted, err := meta.LabelSelectorAsSelector(&selector)
	return err == nil && wanted.Matches(labels.Set(of))
}
