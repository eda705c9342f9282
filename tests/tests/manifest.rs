//! The API server and the types agree: the examples are accepted, and each mistake is refused by both, in both cases
//! naming the same field.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use parlor_crds::ChatRoom;
use parlor_tests::{control_plane::ControlPlane, mistakes::MISTAKES, programs::repository};

async fn rooms(prefix: &str) -> (Api<ChatRoom>, Api<DynamicObject>) {
    let plane = ControlPlane::shared().await.unwrap();
    plane.install_crd().await.unwrap();
    let namespace = plane.namespace(prefix).await.unwrap();
    let client = plane.client().await.unwrap();
    let resource = kube::api::ApiResource::erase::<ChatRoom>(&());
    (Api::namespaced(client.clone(), &namespace), Api::namespaced_with(client, &namespace, &resource))
}

#[tokio::test]
async fn the_api_server_stores_an_example_just_as_a_gateway_reads_it() {
    let (typed, raw) = rooms("examples").await;
    for file in fs::read_dir(repository().join("crds/examples")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let object: DynamicObject = serde_yaml::from_str(&text).unwrap();
        let made = raw.create(&PostParams::default(), &object).await.unwrap();
        let stored = typed.get(&made.name_any()).await.unwrap();
        assert_eq!(stored.spec, parlor_crds::load(&text).unwrap().spec, "{}", path.display());
    }
}

#[tokio::test]
async fn both_refuse_each_mistake_and_name_the_same_field() {
    let (typed, _) = rooms("mistakes").await;
    let client = typed.clone().into_client();
    let namespace = typed.namespace().unwrap().to_owned();
    for mistake in MISTAKES {
        let said = parlor_crds::load(&mistake.manifest()).unwrap_err().to_string();
        assert!(said.contains(mistake.says), "the types, {}: {said}", mistake.what);
        let said = refusal(&client, &namespace, &mistake.manifest()).await;
        assert!(said.contains(mistake.says), "the API server, {}: {said}", mistake.what);
    }
}

/// As `kubectl apply` asks for a new object: unknown fields are errors.
async fn refusal(client: &Client, namespace: &str, manifest: &str) -> String {
    let value: serde_json::Value = serde_yaml::from_str(manifest).unwrap();
    let path = format!("/apis/parlor.chat/v1alpha1/namespaces/{namespace}/chatrooms");
    let request = http::Request::post(format!("{path}?fieldValidation=Strict&dryRun=All"))
        .header("content-type", "application/json")
        .body(value.to_string().into_bytes())
        .unwrap();
    client.request_text(request).await.map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
}

#[tokio::test]
async fn what_messages_depend_on_cannot_be_changed() {
    let (typed, raw) = rooms("immutable").await;
    let text = fs::read_to_string(repository().join("crds/examples/lobby.yaml")).unwrap();
    let object: DynamicObject = serde_yaml::from_str(&text).unwrap();
    raw.create(&PostParams::default(), &object).await.unwrap();
    for (patch, says) in [
        (r#"{"spec":{"redis":{"managed":null,"external":{"seeds":["a:1"]}}}}"#, "spec.redis cannot be changed"),
        (r#"{"spec":{"redis":{"managed":{"storage":{}}}}}"#, "spec.redis.managed.storage cannot be added or removed"),
    ] {
        let patch: serde_json::Value = serde_json::from_str(patch).unwrap();
        let error = typed.patch("lobby", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_chatroom_can_be_scaled_and_scale_cannot_ask_for_nothing() {
    let (typed, raw) = rooms("scale").await;
    let text = fs::read_to_string(repository().join("crds/examples/lobby.yaml")).unwrap();
    let object: DynamicObject = serde_yaml::from_str(&text).unwrap();
    raw.create(&PostParams::default(), &object).await.unwrap();
    let scale = |n: u32| serde_json::json!({"spec": {"replicas": n}});
    let scaled = typed.patch_scale("lobby", &PatchParams::default(), &Patch::Merge(&scale(3))).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(3));
    assert_eq!(typed.get("lobby").await.unwrap().spec.replicas, Some(3));
    let error = typed.patch_scale("lobby", &PatchParams::default(), &Patch::Merge(&scale(0))).await.unwrap_err();
    assert!(error.to_string().contains("spec.replicas"), "{error}");
}
