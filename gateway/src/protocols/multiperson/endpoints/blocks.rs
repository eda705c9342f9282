//! Blocks: looking them up, joining and making them.

use std::sync::Arc;

use serde::Serialize;

use super::{
    desk::{Desk, Outcome, Refused, answer, done},
    image::image,
    request::Fields,
};
use crate::{
    directory::people::{
        HOST, HOST_NAME, inbox,
        social::{Block, Query, Reply},
    },
    fanout::poster::Message,
    protocols::multiperson::frame::notice,
    rooms::{Author, ProtocolId},
};

/// A block as the clients know one.
#[derive(Serialize)]
struct Row<'a> {
    block_id: u64,
    block_name: &'a str,
    owner_id: u64,
    block_img: String,
    /// Who is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<u64>,
}

impl<'a> Row<'a> {
    fn new(Block { id, name, owner }: &'a Block, user_id: Option<u64>) -> Self {
        Self { block_id: *id, block_name: name, owner_id: *owner, block_img: image(*id), user_id }
    }
}

fn rows(blocks: &[Block], user_id: Option<u64>) -> axum::response::Response {
    answer(blocks.iter().map(|block| Row::new(block, user_id)).collect::<Vec<_>>())
}

pub(super) async fn row(desk: Arc<Desk>, fields: Fields) -> Outcome {
    Ok(rows(&desk.blocks(Query::Block { block: fields.id("block_id")? }).await?, None))
}

pub(super) async fn joined(desk: Arc<Desk>, fields: Fields) -> Outcome {
    let user = fields.id("user_id")?;
    Ok(rows(&desk.blocks(Query::Blocks { user }).await?, Some(user)))
}

pub(super) async fn search(desk: Arc<Desk>, fields: Fields) -> Outcome {
    let Some(text) = fields.part("block_name")? else { return Ok(rows(&[], None)) };
    let text = text.into();
    let _turn = desk.turn().await?;
    Ok(rows(&desk.blocks(Query::FindBlocks { text }).await?, None))
}

pub(super) async fn join(desk: Arc<Desk>, fields: Fields) -> Outcome {
    let (user, block) = (fields.id("user_id")?, fields.id("block_id")?);
    match desk.ask(Query::Join { user, block }).await? {
        Reply::Done => {
            desk.notify(user).await;
            Ok(done())
        }
        _ => Err(Refused::Failed("加入失败")),
    }
}

pub(super) async fn create(desk: Arc<Desk>, fields: Fields) -> Outcome {
    #[derive(Serialize)]
    struct Created<'a> {
        block_id: u64,
        block_name: &'a str,
        owner_id: u64,
    }
    let (owner, name) = (fields.id("user_id")?, fields.name(&["block_name"])?.into());
    match desk.ask(Query::Create { owner, name }).await? {
        Reply::Created(block) => {
            desk.notify(owner).await;
            Ok(answer(Created { block_id: block.id, block_name: &block.name, owner_id: block.owner }))
        }
        _ => Err(Refused::Failed("创建失败")),
    }
}

impl Desk {
    /// Tells the connection of a person, wherever it is, to look at their blocks again. It goes through their inbox
    /// like a message, so that it is as sure to come as one.
    async fn notify(&self, user: u64) {
        let host = Author { id: format!("m{HOST}").into(), name: HOST_NAME.into(), extra: None };
        let room = inbox(user);
        let message =
            Message { room, protocol: ProtocolId::MultiPerson, from: host, key: None, content: notice(), amends: None };
        if let Err(error) = self.poster.post(message).await {
            tracing::warn!(user, %error, "failed to tell a person about a new block; they read it after their next INIT");
        }
    }
}
