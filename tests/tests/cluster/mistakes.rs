//! Manifests with a mistake, refused alike by the API server and by a gateway on a laptop.

use parlor_tests::{
    gateway::{Setup, refusal},
    kubectl::{Failed, Namespace},
    mistakes::MISTAKES,
};

use crate::turn::Turn;

/// What `parlor-gateway` ends with on a bad manifest.
const BAD_MANIFEST: i32 = 64;

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_refused_by_kubectl_apply_and_by_the_gateway_which_name_the_same_field() {
    let turn = Turn::take().await;
    let here = Namespace::named("default");
    for mistake in MISTAKES {
        let refused = here.apply(&mistake.manifest()).expect_err(mistake.what);
        let refused = refused.downcast::<Failed>().unwrap();
        assert_eq!(refused.code, 1, "kubectl apply, {}: {refused}", mistake.what);
        assert!(refused.said.contains(mistake.says), "kubectl apply, {}: {refused}", mistake.what);
        assert!(here.get("chatroom", "mistake").is_err(), "{} was stored", mistake.what);
        let (code, said) = refusal(&Setup::manifest(&mistake.manifest())).await.unwrap();
        assert_eq!(code, BAD_MANIFEST, "the gateway, {}: {said}", mistake.what);
        assert!(said.contains(mistake.says), "the gateway, {}: {said}", mistake.what);
        turn.say(format_args!("refused: {}", mistake.what));
    }
}
