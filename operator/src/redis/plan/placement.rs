//! Places: who serves which slots, who copies whom, and who is forgotten.

use parlor_redis::{NodeId, SlotSet};

use super::{
    MAX_ORDERS, Shape, Step,
    command::{Command, Order},
    picture::{Live, Picture},
    run_if_any,
};
use crate::redis::roles::{self, Candidate, Shard};

impl<'a> Picture<'a> {
    /// A fallen primary that nobody copied took its data along; its slots become free. Only when everybody has answered: the
    /// data could be on one that is absent.
    pub(super) fn bury(&self) -> Option<Step> {
        if !self.absent.is_empty() {
            return None;
        }
        let (id, _) = self.fallen().next()?;
        self.forget_everywhere(id, "lost with its only copy")
    }

    fn forget_everywhere(&self, id: &NodeId, how: &str) -> Option<Step> {
        let knowing = self.live.iter().filter(|one| one.view.node(id).is_some());
        // A server that forgot it ignores it for a minute, in which the others receive the order.
        let orders = knowing.map(|one| one.order(Command::Forget(id.clone())));
        run_if_any(|_| format!("forget server {}, {how}", id.short()), orders)
    }

    /// Members with neither slots nor a primary that serves some. The replica of a fallen primary has its place.
    pub(super) fn spares(&self) -> Vec<&Live<'a>> {
        let falls_to = |id: &NodeId| self.fallen().any(|(fallen, _)| fallen == id);
        let placed = |one: &Live<'_>| match &one.me.replica_of {
            Some(id) => self.primary(id).is_some() || falls_to(id),
            None => one.view.serves(),
        };
        self.live.iter().filter(|one| !placed(one) && !one.surplus).collect()
    }

    /// Gives slots that nobody serves to new primaries, or to the smallest one when there are enough. Only when everybody has
    /// answered, because one that is absent may serve them.
    pub(super) fn cover(&self, shape: Shape) -> Option<Step> {
        let free = self.served.complement();
        if free.is_empty() || !self.absent.is_empty() {
            return None;
        }
        let existing: Vec<Candidate<'_>> = self.primaries().map(Live::candidate).collect();
        let spares: Vec<Candidate<'_>> =
            self.spares().iter().filter(|one| one.me.replica_of.is_none()).map(|one| one.candidate()).collect();
        let wanted = shape.shards.saturating_sub(existing.len());
        let mut takers: Vec<&NodeId> =
            roles::choose_primaries(&existing, &spares, wanted).iter().map(|chosen| chosen.id).collect();
        if takers.is_empty() {
            takers.extend(self.primaries().min_by_key(|one| one.me.slots.len()).map(|one| &one.me.id));
        }
        if takers.is_empty() {
            return Some(Step::Wait("no server can take slots".into()));
        }
        let (slots, count, parts) = (free.len(), takers.len(), free.split(takers.len()));
        let orders = takers.iter().zip(parts).filter_map(|(id, part)| Some(taking(self.server(id)?, part)));
        run_if_any(|_| format!("give {slots} slots to {count} servers"), orders)
    }

    /// Gives every server without a place a primary, and moves a surplus replica to a primary that has too few.
    pub(super) fn replicate(&self, shape: Shape) -> Option<Step> {
        let absent_replicas = |id: &NodeId| {
            self.strangers.values().filter(|one| one.may_return && one.replica_of.as_ref() == Some(id)).count()
        };
        let shards: Vec<Shard<'_>> = self
            .primaries()
            .map(|one| Shard {
                primary: one.candidate(),
                replicas: self.staying_replicas_of(&one.me.id).count(),
                absent: absent_replicas(&one.me.id),
            })
            .collect();
        let mut free: Vec<Candidate<'_>> = self.spares().iter().map(|one| one.candidate()).collect();
        for shard in &shards {
            free.extend(self.surplus(shard, shape));
        }
        let pairs = roles::assign_replicas(&shards, &free, shape.replicas);
        let orders = pairs.iter().filter_map(|(replica, primary)| {
            Some(self.server(replica.id)?.order(Command::Replicate(primary.id.clone())))
        });
        let orders: Vec<Order> = orders.take(MAX_ORDERS).collect();
        run_if_any(|count| format!("give {count} servers a primary to copy"), orders.into_iter())
    }

    /// Replicas beyond those wanted; those nearest to their primary go first, because they protect the least.
    fn surplus<'s>(&'s self, shard: &Shard<'s>, shape: Shape) -> Vec<Candidate<'s>> {
        let mut replicas: Vec<Candidate<'s>> =
            self.staying_replicas_of(shard.primary.id).map(Live::candidate).collect();
        replicas.sort_by_key(|replica| std::cmp::Reverse(replica.place.nearness(shard.primary.place)));
        replicas.truncate(shard.replicas.saturating_sub(shape.replicas));
        replicas
    }

    /// Replicas that count: a surplus one goes as soon as the others suffice.
    fn staying_replicas_of<'s>(&'s self, id: &'s NodeId) -> impl Iterator<Item = &'s Live<'a>> {
        self.replicas_of(id).filter(|one| !one.surplus)
    }

    /// Drops those who are gone for good. A pod that is absent may come back, and keeps its place.
    pub(super) fn forget(&self) -> Option<Step> {
        let (id, _) = self.strangers.iter().find(|(_, one)| !one.may_return && one.slots.is_empty())?;
        self.forget_everywhere(id, "which no pod is any more")
    }
}

/// A server that fell in the middle of a move may name an owner who has given the slot away. It takes no slot of which it
/// believes that, so it drops the belief first; the next pass gives it the slots.
fn taking(taker: &Live<'_>, slots: SlotSet) -> Order {
    let stale = taker.view.given_to_others(&slots);
    taker.order(if stale.is_empty() { Command::AddSlots(slots) } else { Command::DropSlots(stale) })
}
