// Volumes makes a directory of the node into a volume for each claim of its StorageClass, once a pod of the claim has
// been placed, and removes both when the claim is gone.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	provisioner   = "parlor.chat/local"
	selectedNode  = "volume.kubernetes.io/selected-node"
	provisionedBy = "pv.kubernetes.io/provisioned-by"
	pause         = 500 * time.Millisecond
)

type volumes struct {
	kubernetes.Interface
	directory string
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	directory := flag.String("directory", "", "where the volumes' directories are made")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	v := volumes{kubernetes.NewForConfigOrDie(config), *directory}
	for ; ; time.Sleep(pause) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := v.reconcile(ctx); err != nil {
			log.Print(err)
		}
		cancel()
	}
}

func (v volumes) reconcile(ctx context.Context) error {
	classes, err := v.StorageV1().StorageClasses().List(ctx, meta.ListOptions{})
	if err != nil {
		return fmt.Errorf("list storage classes: %w", err)
	}
	claims, err := v.CoreV1().PersistentVolumeClaims("").List(ctx, meta.ListOptions{})
	if err != nil {
		return fmt.Errorf("list claims: %w", err)
	}
	for _, claim := range claims.Items {
		if claim.Spec.VolumeName == "" && claim.Annotations[selectedNode] != "" && ours(classes.Items, claim) {
			if err := v.provision(ctx, claim); err != nil {
				return fmt.Errorf("provision %s/%s: %w", claim.Namespace, claim.Name, err)
			}
		}
	}
	made, err := v.CoreV1().PersistentVolumes().List(ctx, meta.ListOptions{})
	if err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	for _, volume := range made.Items {
		if volume.Annotations[provisionedBy] == provisioner && volume.Status.Phase == core.VolumeReleased && volume.DeletionTimestamp == nil {
			if err := v.remove(ctx, volume); err != nil {
				return fmt.Errorf("remove %s: %w", volume.Name, err)
			}
		}
	}
	return nil
}

// ours tells whether the claim's class names this provisioner.
func ours(classes []storage.StorageClass, claim core.PersistentVolumeClaim) bool {
	for _, class := range classes {
		if claim.Spec.StorageClassName != nil && class.Name == *claim.Spec.StorageClassName {
			return class.Provisioner == provisioner
		}
	}
	return false
}

func (v volumes) provision(ctx context.Context, claim core.PersistentVolumeClaim) error {
	name := "local-" + string(claim.UID)
	path := filepath.Join(v.directory, name)
	if err := os.MkdirAll(path, 0o770); err != nil {
		return err
	}
	mode := core.PersistentVolumeFilesystem
	volume := core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisioner}},
		Spec: core.PersistentVolumeSpec{
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			StorageClassName:              *claim.Spec.StorageClassName,
			VolumeMode:                    &mode,
			ClaimRef:                      &core.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			NodeAffinity:                  onNode(claim.Annotations[selectedNode]),
		},
	}
	_, err := v.CoreV1().PersistentVolumes().Create(ctx, &volume, meta.CreateOptions{})
	if errors.IsAlreadyExists(err) {
		return nil
	}
	if err == nil {
		log.Printf("%s/%s has %s", claim.Namespace, claim.Name, path)
	}
	return err
}

func onNode(name string) *core.VolumeNodeAffinity {
	return &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
		MatchExpressions: []core.NodeSelectorRequirement{{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{name}}},
	}}}}
}

func (v volumes) remove(ctx context.Context, volume core.PersistentVolume) error {
	if err := os.RemoveAll(filepath.Join(v.directory, volume.Name)); err != nil {
		return err
	}
	return v.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
}
