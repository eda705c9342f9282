//! How the reactors of a gateway behave, and where they put what is meant for the hub.

use crate::fanout::messages::ToHub;

/// Where reactors put what is meant for the hub. Called on reactor threads: it must not block.
pub trait HubQueue: Send + Sync + 'static {
    /// Queues `message`, or gives it back when the queue is full.
    fn try_send(&self, message: ToHub) -> Result<(), ToHub>;
}

impl<F: Fn(ToHub) -> Result<(), ToHub> + Send + Sync + 'static> HubQueue for F {
    fn try_send(&self, message: ToHub) -> Result<(), ToHub> {
        self(message)
    }
}

/// What happens to a connection that falls out of a room's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowConsumer {
    /// Closed with 1013; it may come back and resume.
    Disconnect,
    /// Told of the gap, then shown what comes next.
    SkipToLatest,
}

/// How the reactors of a gateway behave.
#[derive(Clone, Copy, Debug)]
pub struct ReactorSettings {
    /// Threads, at least 1 and at most 1024.
    pub threads: usize,
    /// Names this incarnation of the gateway in [`crate::rooms::Origin`]; unique in the ChatRoom.
    pub gateway: u64,
    /// `limits.slowConsumer`.
    pub slow_consumer: SlowConsumer,
    /// `limits.roomsPerConnection`.
    pub rooms_per_connection: usize,
    /// Bytes that a room and encoding may hold for slow readers, per reactor.
    pub ring_bytes: usize,
    /// Chunks that a room and encoding may hold for slow readers, per reactor.
    pub ring_chunks: usize,
    /// Bytes that all rings of a reactor may hold. Beyond it, slow readers of every room with news are dropped.
    pub rings_bytes: usize,
    /// Bytes of replies that all connections of a reactor may leave unread. Beyond it, those that hold most are closed.
    pub replies_bytes: usize,
}

impl ReactorSettings {
    /// One thread per core that this process may use, and the default limits.
    pub fn new(gateway: u64) -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            gateway,
            slow_consumer: SlowConsumer::Disconnect,
            rooms_per_connection: 100,
            // A reader on a bad line may lag some seconds of a busy room (4 MB/s) without being cut.
            ring_bytes: 8 << 20,
            // At one chunk per tail read and some 1,000 tail reads per second, the same seconds.
            ring_chunks: 4096,
            // Slow readers in some dozens of busy rooms at once.
            rings_bytes: 256 << 20,
            // A page of history for each of 64 clients that are slow at the same time.
            replies_bytes: 64 << 20,
        }
    }
}
