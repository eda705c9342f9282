//! The beginning of the OpenAPI document; the routes add themselves.

use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::fault::Fault;

/// Name of the only way in.
const TOKEN: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Parlor server API",
        description = "Other servers publish and read messages, moderate, and sign identities for their own users. \
                       docs/api.md has examples.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Fault)),
    tags(
        (name = "messages", description = "Messages of rooms"),
        (name = "people", description = "Who people are"),
        (name = "moderation", description = "What moderators do")
    ),
    modifiers(&Bearer)
)]
struct Head;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A named token: a key of the Secret in spec.api.tokensRef"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
        document.security = Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())]);
    }
}

/// The document without routes.
pub(super) fn head() -> Document {
    Head::openapi()
}
