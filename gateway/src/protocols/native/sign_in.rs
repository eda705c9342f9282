//! Who a connection is, from its first token or name to the end of that.
//!
//! Decides when somebody becomes somebody, that they stay the same person, which rooms they may use, and what happens when
//! their token ends: posting ends at once, reading half a minute later, so that a new token can come in between. Called
//! by the session.

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;

use super::{
    NativeSettings,
    answer::{answer_fault, say},
    bounds::{self, Problem},
    credential::{self, Credential, NotShown, Shown},
    identity,
    reply::{Code, Reply},
    request::{Id, Op},
};
use crate::{
    fanout::session::{Context, Effect, Effects, TimerId},
    rooms::{Author, Denied, Identity, ProtocolId, Role, RoomName, Visitor, Want},
};

/// How long somebody may read after their token has ended.
const READING_ENDS: Duration = Duration::from_secs(30);
pub(super) const EXPIRY: TimerId = TimerId(1);
/// A timer is set no further ahead than this, and then again.
const FURTHEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a token is looked at whose key is being fetched, and for how long.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_FOR: Duration = Duration::from_secs(8);
pub(super) const LOOK: TimerId = TimerId(2);
/// How long a connection may last of which nobody says who it is, where a token is asked for.
const SIGNED_IN: Duration = Duration::from_secs(10);
pub(super) const SIGN_IN: TimerId = TimerId(3);

/// The rooms of a connection. Most people are in one.
pub(super) type Rooms = SmallVec<[RoomName; 1]>;

/// The person of a connection.
pub(super) struct Person {
    settings: Arc<NativeSettings>,
    /// None: nobody in particular yet.
    who: Option<Identity>,
    /// By what `who` is known.
    credential: Credential,
    waiting: Option<Waiting>,
}

/// An `auth` whose key is being fetched.
struct Waiting {
    id: Option<Id>,
    token: Box<str>,
    /// When it is given up, in milliseconds on the monotonic clock.
    until: u64,
}

impl Person {
    /// Somebody who came with a token, or nobody in particular.
    pub(super) fn new(settings: Arc<NativeSettings>, shown: Option<Shown>) -> Self {
        let (who, credential) = match shown {
            Some(Shown { identity, credential }) => (Some(identity), credential),
            None => (None, Credential::Anonymous),
        };
        Self { settings, who, credential, waiting: None }
    }

    /// As others see them, once it is settled who it is.
    pub(super) fn author(&self) -> Option<&Author> {
        self.who.as_ref().map(|who| &who.person)
    }

    /// What the ChatRoom decides.
    pub(super) fn settings(&self) -> &NativeSettings {
        &self.settings
    }

    pub(super) fn role(&self) -> Role {
        self.who.as_ref().map_or(Role::Member, |who| who.role)
    }

    /// The person, when they may moderate the room.
    pub(super) fn moderator(&self, room: &RoomName) -> Result<&Author, Problem> {
        const OTHERS: Problem = Problem { code: Code::Forbidden, message: "only a moderator of the room may do that" };
        if self.role() != Role::Moderator {
            return Err(OTHERS);
        }
        self.may(Want::Read, room)?;
        self.author().ok_or(OTHERS)
    }

    /// The connection is open.
    pub(super) fn open(&self, cx: &Context, out: &mut Effects) {
        match &self.who {
            Some(who) if who.expires.is_some() => watch_expiry(who, cx, out),
            None if !self.settings.anonymous => out.push(Effect::Timer(SIGN_IN, SIGNED_IN)),
            _ => {}
        }
    }

    /// Somebody should have signed in by now. A token whose key is being fetched has the time that this takes.
    pub(super) fn overdue(&self, out: &mut Effects) {
        if self.waiting.is_some() {
            out.push(Effect::Timer(SIGN_IN, LOOK_FOR));
        } else if self.who.is_none() {
            out.push(Effect::Refused("not_signed_in"));
            out.push(Effect::Close { code: 1008, reason: Code::Unauthorized.label() });
        }
    }

    /// `{"op":"auth"}`: signs in, or renews.
    pub(super) fn auth(
        &mut self,
        id: Option<Id>,
        token: &str,
        rooms: &mut Rooms,
        cx: &Context,
        out: &mut Effects,
    ) -> Result<(), Problem> {
        // The last one counts.
        self.waiting = None;
        match credential::read(&self.settings, token, cx.unix) {
            Ok(shown) => self.authenticated(id, shown, rooms, cx, out),
            Err(NotShown::For(problem)) => Err(problem),
            Err(NotShown::Yet) => {
                self.waiting = Some(Waiting { id, token: token.into(), until: cx.now + LOOK_FOR.as_millis() as u64 });
                out.push(Effect::Timer(LOOK, LOOK_EVERY));
                Ok(())
            }
        }
    }

    /// Looks again at a token whose key was being fetched.
    pub(super) fn look_again(&mut self, rooms: &mut Rooms, cx: &Context, out: &mut Effects) {
        let Some(Waiting { id, token, until }) = self.waiting.take() else { return };
        let done = match credential::read(&self.settings, &token, cx.unix) {
            Ok(shown) => self.authenticated(id.clone(), shown, rooms, cx, out),
            Err(NotShown::For(problem)) => Err(problem),
            Err(NotShown::Yet) if cx.now >= until => Err(credential::awaited()),
            Err(NotShown::Yet) => {
                self.waiting = Some(Waiting { id, token, until });
                return out.push(Effect::Timer(LOOK, LOOK_EVERY));
            }
        };
        answer_fault(id.as_deref(), done, out);
    }

    fn authenticated(
        &mut self,
        id: Option<Id>,
        shown: Shown,
        rooms: &mut Rooms,
        cx: &Context,
        out: &mut Effects,
    ) -> Result<(), Problem> {
        let Identity { person, role, expires, .. } = self.become_somebody(shown, rooms, cx, out)?;
        let (you, role, expires) = (person.into(), role.name(), expires.map(|millis| millis / 1000));
        say(&Reply::Authenticated { id: id.as_deref(), you, role, expires }, out);
        Ok(())
    }

    /// From now on the connection is `shown`: an anonymous person may sign in, and everybody may renew.
    fn become_somebody(
        &mut self,
        Shown { identity, credential }: Shown,
        rooms: &mut Rooms,
        cx: &Context,
        out: &mut Effects,
    ) -> Result<&Identity, Problem> {
        if let Some(who) = &self.who {
            let signs_in = self.credential == Credential::Anonymous && credential == Credential::Outside;
            if who.person.id != identity.person.id && !signs_in {
                return Err(another());
            }
        }
        self.credential = credential;
        leave_rooms_outside(&identity, rooms, out);
        let who = self.who.insert(identity);
        watch_expiry(who, cx, out);
        Ok(who)
    }

    /// The time of the token is over, perhaps.
    pub(super) fn expiry(&self, cx: &Context, out: &mut Effects) {
        let Some(who) = &self.who else { return };
        if who.expires.is_some_and(|expires| until_closed(expires, cx).is_zero()) {
            out.push(Effect::Refused(Code::Expired.label()));
            out.push(Effect::Close { code: 1008, reason: Code::Expired.label() });
        } else {
            watch_expiry(who, cx, out);
        }
    }

    /// Settles who this is at the first join, and that it stays so at the next ones.
    pub(super) fn identify(
        &mut self,
        name: Option<&str>,
        token: Option<&str>,
        rooms: &mut Rooms,
        cx: &Context,
        out: &mut Effects,
    ) -> Result<(), Problem> {
        let shown = token.map(|token| credential::read(&self.settings, token, cx.unix));
        if let Some(Ok(shown)) = shown {
            let own = shown.credential != Credential::Outside;
            let named = name.is_some_and(|name| own && name != shown.identity.person.name.as_ref());
            return match (named, self.settings.anonymous, &self.who) {
                (true, _, Some(_)) => Err(another()),
                // An identity is shown under one name: under another one it is another person.
                (true, true, None) => self.anonymous(name, cx),
                (true, false, None) => Err(Problem::new(Code::Unauthorized, "the token is for another name")),
                (false, ..) => self.become_somebody(shown, rooms, cx, out).map(|_| ()),
            };
        }
        match (&self.who, shown) {
            (Some(who), _) => {
                let renamed = name.is_some_and(|name| name != who.person.name.as_ref());
                if renamed && self.credential != Credential::Outside { Err(another()) } else { Ok(()) }
            }
            (None, Some(Err(NotShown::Yet))) => Err(credential::awaited()),
            (None, Some(Err(NotShown::For(problem)))) if self.settings.verifier.is_some() => Err(problem),
            // A token that is none (the key was replaced) makes a new person: an anonymous one loses nothing but the id.
            (None, _) if self.settings.anonymous => self.anonymous(name, cx),
            (None, _) => Err(stranger()),
        }
    }

    /// A new person under a name of their choice.
    fn anonymous(&mut self, name: Option<&str>, cx: &Context) -> Result<(), Problem> {
        let name = name.ok_or(Problem::new(Code::BadRequest, "name is missing"))?;
        bounds::check_name(name)?;
        let id = identity::new_id(&self.settings.key, cx.origin);
        self.credential = Credential::Anonymous;
        self.who = Some(Identity::of(Author { id: id.into(), name: name.into(), extra: None }));
        Ok(())
    }

    /// Whether the time is right for an operation, whatever it is about.
    pub(super) fn allowed_now(&self, op: &Op<'_>, cx: &Context) -> Result<(), Problem> {
        if op.outlives_token() {
            return Ok(());
        }
        if self.waiting.is_some() {
            // It would be done as somebody else.
            return Err(Problem::new(Code::Unavailable, "your token is being checked"));
        }
        self.in_time(cx)
    }

    /// Whether the token of this person, if they have one, is good still.
    pub(super) fn in_time(&self, cx: &Context) -> Result<(), Problem> {
        let expired = self.who.as_ref().is_some_and(|who| who.has_expired(cx.unix));
        if expired { Err(Problem::new(Code::Expired, "your token has expired: present a new one")) } else { Ok(()) }
    }

    /// Whether this person may have what they want with the room.
    pub(super) fn may(&self, want: Want, room: &RoomName) -> Result<(), Problem> {
        let visitor = match (&self.who, self.credential) {
            (None, _) => Visitor::Stranger,
            (Some(_), Credential::Anonymous) => Visitor::Anonymous,
            (Some(_), Credential::Own { .. }) => Visitor::Holder,
            (Some(who), Credential::Outside) => Visitor::Person(who),
        };
        self.settings.access.may(ProtocolId::Native, visitor, want, room).map_err(|denied| match denied {
            Denied::Closed => Problem::new(Code::Unauthorized, "this room is not open here"),
            Denied::Unknown => stranger(),
            Denied::OutsideList => Problem::new(Code::Forbidden, "your token is not for this room"),
            Denied::NotAMember => Problem::new(Code::NotJoined, "join the room first"),
        })
    }

    /// The token that lets this person come back; None for those who bring their own.
    pub(super) fn token(&self, person: &Author, unix: u64) -> Option<String> {
        let expires = match self.credential {
            Credential::Anonymous => Some(identity::expiry(unix)),
            Credential::Own { expires } => expires,
            Credential::Outside => return None,
        };
        Some(identity::token(&self.settings.key, person, expires))
    }
}

/// A new token may be for fewer rooms.
fn leave_rooms_outside(identity: &Identity, rooms: &mut Rooms, out: &mut Effects) {
    rooms.retain(|room| {
        let stays = identity.rooms.allows(room);
        if !stays {
            out.push(Effect::Leave { room: room.clone(), asked: true });
            say(&Reply::Left { id: None, room: room.as_str() }, out);
        }
        stays
    });
}

fn another() -> Problem {
    Problem::new(Code::BadRequest, "a connection is one person: another needs another connection")
}

fn stranger() -> Problem {
    Problem::new(Code::Unauthorized, "joining takes a valid token")
}

/// How long the connection of somebody may last still whose token ends at `expires`.
fn until_closed(expires: u64, cx: &Context) -> Duration {
    let closed = Duration::from_millis(expires).saturating_add(READING_ENDS);
    closed.saturating_sub(Duration::from_millis(cx.unix))
}

/// Has the session look when the time of `who` is over.
fn watch_expiry(who: &Identity, cx: &Context, out: &mut Effects) {
    match who.expires {
        Some(expires) => {
            out.push(Effect::Timer(EXPIRY, until_closed(expires, cx).min(FURTHEST)));
        }
        None => out.push(Effect::Cancel(EXPIRY)),
    }
}
