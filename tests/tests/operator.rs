//! The operator against a real API server and real controllers; the node, and what gateways answer, are played.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::{
    api::{
        apps::v1::ReplicaSet,
        core::v1::{Pod, Secret, Service},
        networking::v1::Ingress,
        policy::v1::PodDisruptionBudget,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
    runtime::wait::{await_condition, conditions},
};
use parlor_crds::ChatRoom;
use parlor_operator::{
    chat_room_name::ChatRoomName,
    explain::explain,
    reconcile::{build::Defaults, observed::is_ready},
};
use parlor_tests::{
    control_plane::ControlPlane,
    stage::{Operator, PATIENCE, Stage, external, message, missing},
};
use serde_json::json;

/// Several passes at rest.
const QUIET: Duration = Duration::from_secs(16);

#[tokio::test(flavor = "multi_thread")]
async fn a_chatroom_becomes_ready_and_then_nothing_is_written() -> Result<()> {
    let stage = Stage::set("quiet", 10).await?;
    let route = json!({ "hosts": ["chat.example.com"], "ingressClassName": "any" });
    let protocols = json!({ "native": {}, "onlyone": { "port": 9090 } });
    stage.create(external(json!({ "replicas": 2, "route": route, "protocols": protocols }))).await?;
    stage.until_ready().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = stage.versions().await?;
    for id in ["Service/lobby", "Service/lobby-onlyone", "Ingress/lobby", "ServiceAccount/lobby", "NetworkPolicy/lobby"]
    {
        ensure!(before.contains_key(id), "{id} is missing among {:?}", before.keys());
    }
    tokio::time::sleep(QUIET).await;
    let after = stage.versions().await?;
    ensure!(before == after, "something was written at rest:\n{before:#?}\n{after:#?}");
    let Stage { client, namespace, kubelet, operator } = stage;
    operator.stop().await?;
    let stage = Stage { operator: Operator::start(client.clone(), &namespace), client, namespace, kubelet };
    tokio::time::sleep(QUIET).await;
    let restarted = stage.versions().await?;
    ensure!(restarted == after, "a new operator wrote something:\n{after:#?}\n{restarted:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_chatroom_asks_for_no_more_goes_and_what_was_touched_is_restored() -> Result<()> {
    let stage = Stage::set("orphans", 11).await?;
    let route = json!({ "hosts": ["chat.example.com"], "ingressClassName": "any" });
    let protocols = json!({ "native": {}, "onlyone": { "port": 9090 } });
    stage.create(external(json!({ "replicas": 1, "route": route, "protocols": protocols }))).await?;
    stage.until_ready().await?;
    stage.change(json!({ "route": null, "protocols": { "onlyone": { "port": null } } })).await?;
    stage
        .until(async |stage| {
            let (service, ingress) = (
                stage.api::<Service>().get_opt("lobby-onlyone").await?,
                stage.api::<Ingress>().get_opt("lobby").await?,
            );
            Ok((service.is_some() || ingress.is_some()).then(|| "the Service or the Ingress is still there".into()))
        })
        .await?;
    stage.api::<Service>().delete("lobby", &DeleteParams::default()).await?;
    let wrong = Patch::Merge(json!({ "spec": { "maxUnavailable": 7 } }));
    stage.api::<PodDisruptionBudget>().patch("lobby", &PatchParams::default(), &wrong).await?;
    stage
        .until(async |stage| {
            let service = stage.api::<Service>().get_opt("lobby").await?;
            let budget = stage.api::<PodDisruptionBudget>().get("lobby").await?;
            let most = budget.spec.and_then(|spec| spec.max_unavailable);
            let restored = service.is_some() && format!("{most:?}").contains("Int(1)");
            Ok((!restored).then(|| format!("the Service is {service:?}, the budget {most:?}")))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scale_subresource_grows_the_fleet_and_shrinks_it_by_its_emptiest_gateway() -> Result<()> {
    let stage = Stage::set("scale", 12).await?;
    stage.create(external(json!({ "replicas": 2 }))).await?;
    stage.until_gateways(2).await?;
    let scale = |replicas: u32| Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    stage.api::<ChatRoom>().patch_scale("lobby", &PatchParams::default(), &scale(3)).await?;
    stage.until_gateways(3).await?;
    let selector = stage.api::<ChatRoom>().get_scale("lobby").await?.status.and_then(|status| status.selector);
    ensure!(selector.as_deref().is_some_and(|text| text.contains("app.kubernetes.io/instance=lobby")), "{selector:?}");
    let names: Vec<String> = stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
    for (at, name) in names.iter().enumerate() {
        stage.kubelet.gateway(name, |gateway| gateway.connections = [50, 3, 80][at]);
    }
    stage.api::<ChatRoom>().patch_scale("lobby", &PatchParams::default(), &scale(2)).await?;
    stage
        .until(async |stage| {
            let draining = stage.kubelet.gateways().get(&names[1]).is_some_and(|gateway| gateway.draining);
            Ok((!draining).then(|| format!("{} is not being emptied", names[1])))
        })
        .await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    ensure!(stage.pods("gateway").await?.len() == 3, "a gateway went while people were on it");
    stage.kubelet.gateway(&names[1], |gateway| gateway.connections = 0);
    stage.until_gateways(2).await?;
    let left: Vec<String> = stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
    ensure!(left == [names[0].clone(), names[2].clone()], "{names:?} became {left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_brings_up_the_new_gateways_first_and_a_bad_template_stops_after_one() -> Result<()> {
    let stage = Stage::set("rollout", 13).await?;
    stage.kubelet.break_image("broken:1");
    stage.create(external(json!({ "replicas": 2 }))).await?;
    stage.until_ready().await?;
    let old: Vec<String> = stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
    stage.change(json!({ "template": { "image": "broken:1" } })).await?;
    stage.until(async |stage| Ok((stage.pods("gateway").await?.len() != 3).then(|| "no third pod".into()))).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(stage.pods("gateway").await?.len() == 3, "more than one gateway of a bad template");
    ensure!(stage.kubelet.gateways().iter().all(|(_, gateway)| !gateway.draining), "an old gateway was emptied");
    let room = stage.room().await?;
    ensure!(missing(&room, "Ready", "True").is_none(), "the old gateways serve on: {:?}", room.status);
    ensure!(missing(&room, "Progressing", "True").is_none(), "a stuck rollout must not look done: {:?}", room.status);
    let said = message(&room, "Progressing");
    ensure!(said.contains("ImagePullBackOff"), "the reason is not named: {said}");
    stage.change(json!({ "template": { "image": "good:2" } })).await?;
    stage.until_ready().await?;
    stage.until_gateways(2).await?;
    let new: Vec<String> = stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
    ensure!(new.iter().all(|name| !old.contains(name)), "{old:?} became {new:?}");
    stage
        .until(async |stage| {
            let sets = stage.api::<ReplicaSet>().list(&ListParams::default()).await?.items.len();
            Ok((sets != 1).then(|| format!("{sets} ReplicaSets")))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn load_brings_gateways_within_15_seconds_and_its_end_takes_them_away_after_a_while() -> Result<()> {
    let stage = Stage::set("scaling", 14).await?;
    let scaling = json!({ "min": 1, "max": 4, "connectionsPerGateway": 100, "scaleDownAfter": "10s" });
    stage.create(external(json!({ "scaling": scaling }))).await?;
    stage.until_gateways(1).await?;
    stage.until_ready().await?;
    let name = stage.gateways().await?[0].name_any();
    stage.kubelet.gateway(&name, |gateway| gateway.connections = 250);
    let asked = Instant::now();
    stage
        .until(async |stage| Ok((stage.pods("gateway").await?.len() < 3).then(|| "fewer than 3 gateways".into())))
        .await?;
    ensure!(asked.elapsed() < Duration::from_secs(15), "it took {:?}", asked.elapsed());
    let said = stage.room().await?.status.and_then(|status| status.scaling).context("no decision in the status")?;
    ensure!(said.wanted == 3 && said.reason == "250 connections at 100 per gateway: from 1 to 3", "{said:?}");
    stage.until_gateways(3).await?;
    stage.kubelet.gateway(&name, |gateway| gateway.connections = 90);
    stage.until_gateways(1).await?;
    ensure!(stage.gateways().await?[0].name_any() == name, "the gateway with the people went");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_redis_cluster_forms_and_heals_after_all_its_pods_were_replaced() -> Result<()> {
    let stage = Stage::set("redis", 15).await?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    stage.until_reason("RedisReady", "Replicated").await?;
    stage.api::<Pod>().delete("lobby-redis-2", &DeleteParams::default()).await?;
    stage.until_reason("RedisReady", "Degraded").await?;
    stage.until_reason("RedisReady", "Replicated").await?;
    let redis = ListParams::default().labels("app.kubernetes.io/component=redis");
    stage.api::<Pod>().delete_collection(&DeleteParams::default(), &redis).await?;
    stage.until(async |stage| Ok(missing(&stage.room().await?, "RedisReady", "False"))).await?;
    stage.until_reason("RedisReady", "Replicated").await?;
    stage.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_redis_image_restarts_replicas_first_and_one_server_at_a_time() -> Result<()> {
    let stage = Stage::set("upgrade", 16).await?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    stage.change(json!({ "redis": { "managed": { "image": "redis:7.4.1" } } })).await?;
    let mut away = 0;
    stage
        .until(async |stage| {
            let pods = stage.pods("redis").await?;
            let ready = |pod: &&Pod| is_ready(pod);
            away = away.max(6 - pods.iter().filter(ready).count());
            let image = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone());
            let old = pods.iter().filter(|pod| image(pod).as_deref() != Some("redis:7.4.1")).count();
            Ok((old > 0).then(|| format!("{old} servers run the old image")))
        })
        .await?;
    ensure!(away <= 1, "{away} servers were away at the same time");
    stage.until_reason("RedisReady", "Replicated").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_chatroom_drains_to_zero_and_comes_back() -> Result<()> {
    let stage = Stage::set("suspend", 17).await?;
    stage.create(external(json!({ "replicas": 2 }))).await?;
    stage.until_ready().await?;
    stage.change(json!({ "suspend": true })).await?;
    stage.until_gateways(0).await?;
    stage.until_reason("GatewaysAvailable", "Suspended").await?;
    stage.change(json!({ "suspend": false })).await?;
    stage.until_gateways(2).await?;
    stage.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chatroom_deleted_while_no_operator_runs_still_goes_with_all_that_was_made() -> Result<()> {
    let stage = Stage::set("deletion", 18).await?;
    stage.create(external(json!({ "replicas": 1 }))).await?;
    stage.until_ready().await?;
    let Stage { client, namespace, kubelet: _kubelet, operator } = stage;
    operator.stop().await?;
    Api::<ChatRoom>::namespaced(client.clone(), &namespace).delete("lobby", &DeleteParams::default()).await?;
    let start = Instant::now();
    loop {
        let all = ListParams::default();
        let services = Api::<Service>::namespaced(client.clone(), &namespace).list(&all).await?.items.len();
        let pods = Api::<Pod>::namespaced(client.clone(), &namespace).list(&all).await?.items.len();
        let secrets = Api::<Secret>::namespaced(client.clone(), &namespace).list(&all).await?.items.len();
        if services + pods + secrets == 0 {
            return Ok(());
        }
        ensure!(start.elapsed() < PATIENCE, "{services} Services, {pods} Pods, {secrets} Secrets are left");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_operator_waits_and_takes_over_when_the_first_stops() -> Result<()> {
    let stage = Stage::set("leader", 19).await?;
    stage.create(external(json!({ "replicas": 1 }))).await?;
    stage.until_ready().await?;
    let second = Operator::start(stage.client.clone(), &stage.namespace);
    let Stage { client, namespace, kubelet, operator: first } = stage;
    first.stop().await?;
    let stopped = Timestamp::now();
    let stage = Stage { client, namespace, kubelet, operator: second };
    stage.change(json!({ "replicas": 2 })).await?;
    stage.until_gateways(2).await?;
    let took = Timestamp::now().duration_since(stopped);
    ensure!(took.as_secs() < 15, "a released lease was waited for: {took:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_by_gateway_api_is_ready_once_a_gateway_has_accepted_it() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    serve_http_routes(&plane.client().await?).await?;
    let stage = Stage::set("route", 20).await?;
    let route = json!({ "hosts": ["chat.example.com"], "gateway": { "name": "edge", "namespace": "infra" } });
    stage.create(external(json!({ "replicas": 1, "route": route }))).await?;
    stage.until_reason("RouteReady", "NotAccepted").await?;
    let routes = http_routes(&stage);
    let made = routes.get("lobby").await.context("read the HTTPRoute")?;
    ensure!(made.data["spec"]["hostnames"] == json!(["chat.example.com"]), "{made:?}");
    let told = |status: &str, reason: &str| {
        let condition =
            json!({ "type": "Accepted", "status": status, "reason": reason, "message": "as a Gateway says" });
        Patch::Merge(json!({ "status": { "parents": [{ "conditions": [condition] }] } }))
    };
    routes.patch_status("lobby", &PatchParams::default(), &told("False", "NotAllowedByListeners")).await?;
    stage.until_reason("RouteReady", "Refused").await?;
    stage.until(async |stage| Ok(missing(&stage.room().await?, "Ready", "False"))).await?;
    routes.patch_status("lobby", &PatchParams::default(), &told("True", "Accepted")).await?;
    stage.until_reason("RouteReady", "Accepted").await?;
    stage.until_ready().await?;
    stage.change(json!({ "route": null })).await?;
    stage
        .until(async |stage| {
            let left = http_routes(stage).get_opt("lobby").await?;
            Ok(left.map(|_| "the HTTPRoute is still there".into()))
        })
        .await
}

fn http_routes(stage: &Stage) -> Api<DynamicObject> {
    let resource = parlor_operator::reconcile::kind::Kind::HttpRoute.resource();
    Api::namespaced_with(stage.client.clone(), &stage.namespace, &resource)
}

/// As much of the Gateway API as an operator needs to see: the kind, with a status.
async fn serve_http_routes(client: &Client) -> Result<()> {
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let crd: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {
            "name": "httproutes.gateway.networking.k8s.io",
            "annotations": { "api-approved.kubernetes.io": "unapproved, a stand-in for tests" },
        },
        "spec": {
            "group": "gateway.networking.k8s.io",
            "names": { "kind": "HTTPRoute", "plural": "httproutes" },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": anything },
            }],
        },
    }))?;
    let name = crd.name_any();
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    api.create(&PostParams::default(), &crd).await.context("define HTTPRoute")?;
    let established = await_condition(api, &name, conditions::is_crd_established());
    tokio::time::timeout(PATIENCE, established).await.context("HTTPRoute is not served in time")??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_why_there_are_so_many_gateways_and_what_is_waited_for() -> Result<()> {
    let stage = Stage::set("explain", 21).await?;
    stage.kubelet.break_image("broken:1");
    stage.create(external(json!({ "replicas": 2 }))).await?;
    stage.until_ready().await?;
    stage.change(json!({ "template": { "image": "broken:1" } })).await?;
    stage.until_reason("Progressing", "RollingOut").await?;
    stage.until(async |stage| Ok((stage.pods("gateway").await?.len() != 3).then(|| "no third pod".into()))).await?;
    let defaults =
        Defaults { gateway_image: "parlor-gateway:test".into(), namespace: stage.namespace.clone(), fixed_users: true };
    let room = ChatRoomName { namespace: stage.namespace.clone(), name: "lobby".into() };
    stage
        .until(async |stage| {
            let said = explain(stage.client.clone(), defaults.clone(), room.clone()).await?;
            let words = ["2 gateways wanted: spec.replicas is 2", "ImagePullBackOff: no such image", "RollingOut"];
            Ok((!words.iter().all(|word| said.contains(word))).then_some(said))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_image_that_cannot_start_takes_one_replica_and_is_mended_by_the_next_image() -> Result<()> {
    let stage = Stage::set("bad-redis", 22).await?;
    stage.kubelet.break_image("redis:bad");
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    stage.change(json!({ "redis": { "managed": { "image": "redis:bad" } } })).await?;
    stage.until_reason("RedisReady", "Degraded").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ready = stage.pods("redis").await?.iter().filter(|pod| is_ready(pod)).count();
    ensure!(ready == 5, "{ready} of 6 servers are left");
    stage.change(json!({ "redis": { "managed": { "image": "redis:7.4.1" } } })).await?;
    stage.until_reason("RedisReady", "Replicated").await
}
