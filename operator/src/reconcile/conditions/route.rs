//! `RouteReady`: whether the way in from outside was accepted, and by whom.

use parlor_crds::{ChatRoom, chatroom::GatewayRef};
use serde_json::Value;

use super::claim::{Claim, Truth};
use crate::reconcile::{kind::Kind, observed::Observed};

pub(super) const KIND: &str = "RouteReady";

pub(super) fn claim(room: &ChatRoom, observed: &Observed) -> Claim {
    let claim = |truth, reason, message: String| Claim::new(KIND, truth, reason, message);
    let Some(route) = &room.spec.route else {
        return claim(Truth::True, "NotRequested", "the ChatRoom asks for no route".into());
    };
    if let Some(gateway) = &route.gateway {
        return http_route(gateway, observed);
    }
    let Some(class) = &route.ingress_class_name else {
        return claim(Truth::True, "NotRequested", "the ChatRoom asks for no Ingress and no HTTPRoute".into());
    };
    let balancer = observed.ingress.as_ref().and_then(|status| status.load_balancer.as_ref());
    match balancer.and_then(|balancer| balancer.ingress.as_ref()).is_some_and(|addresses| !addresses.is_empty()) {
        true => claim(Truth::True, "Admitted", format!("the controller of class {class} gave the Ingress an address")),
        false => {
            let message = format!(
                "no controller has given the Ingress an address yet; is an ingress controller of class {class} installed?"
            );
            claim(Truth::Unknown, "NoAddress", message)
        }
    }
}

fn http_route(gateway: &GatewayRef, observed: &Observed) -> Claim {
    let claim = |truth, reason, message: String| Claim::new(KIND, truth, reason, message);
    if !observed.gateway_api {
        let kind = Kind::HttpRoute.name();
        return claim(Truth::False, "NoGatewayAPI", format!("the cluster serves no {kind}s: install the Gateway API"));
    }
    let name = match &gateway.namespace {
        Some(namespace) => format!("Gateway {namespace}/{}", gateway.name),
        None => format!("Gateway {}", gateway.name),
    };
    let parents = observed.http_route.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    let conditions = parents.iter().filter_map(|parent| parent["conditions"].as_array()).flatten();
    let told: Vec<&Value> =
        conditions.filter(|one| matches!(one["type"].as_str(), Some("Accepted" | "ResolvedRefs"))).collect();
    if told.is_empty() {
        let message =
            format!("{name} has not accepted the HTTPRoute yet; does it exist, and does it allow this namespace?");
        return claim(Truth::Unknown, "NotAccepted", message);
    }
    match told.iter().find(|one| one["status"] != "True") {
        Some(refused) => {
            let text = |field: &str| refused[field].as_str().unwrap_or_default().to_owned();
            claim(Truth::False, "Refused", format!("{name}: {}: {}", text("reason"), text("message")))
        }
        None => claim(Truth::True, "Accepted", format!("{name} has accepted the HTTPRoute")),
    }
}
