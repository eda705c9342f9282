// Policies enforces NetworkPolicies on the one node: each pod that a policy selects gets nftables chains that let
// through what its policies allow and drop the rest. The node itself reaches every pod, as the kubelet must.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"os/exec"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const pause = 500 * time.Millisecond

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	var applied string
	for ; ; time.Sleep(pause) {
		cluster, err := observe(client)
		if err != nil {
			log.Print(err)
			continue
		}
		wanted := cluster.rules()
		if wanted == applied {
			continue
		}
		if err := load(wanted); err != nil {
			log.Print(err)
			continue
		}
		applied = wanted
	}
}

// observe lists all that the rules depend on.
func observe(client kubernetes.Interface) (cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pods, err := client.CoreV1().Pods("").List(ctx, meta.ListOptions{})
	if err != nil {
		return cluster{}, fmt.Errorf("list pods: %w", err)
	}
	namespaces, err := client.CoreV1().Namespaces().List(ctx, meta.ListOptions{})
	if err != nil {
		return cluster{}, fmt.Errorf("list namespaces: %w", err)
	}
	policies, err := client.NetworkingV1().NetworkPolicies("").List(ctx, meta.ListOptions{})
	if err != nil {
		return cluster{}, fmt.Errorf("list policies: %w", err)
	}
	c := cluster{policies: policies.Items, namespaces: map[string]core.Namespace{}}
	for _, namespace := range namespaces.Items {
		c.namespaces[namespace.Name] = namespace
	}
	for _, pod := range pods.Items {
		ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
		if pod.Status.PodIP != "" && !pod.Spec.HostNetwork && !ended {
			c.pods = append(c.pods, pod)
		}
	}
	return c, nil
}

// load replaces the table by one transaction.
func load(rules string) error {
	command := exec.Command("nft", "-f", "-")
	command.Stdin = bytes.NewBufferString(rules)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, output)
	}
	return nil
}
