//! What Prometheus reads: the counts of reactors, hub and handshakes under the names `parlor_…`.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{counter::ConstCounter, gauge::ConstGauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{
    bus::{self, Bus, Health},
    fanout::{
        hub::Hub,
        reactor::{Histograms, Reactors},
    },
    http::{api::Meter, listen::Acceptor, refusals::Counts},
    moderation::Moderation,
    rooms::ProtocolId,
    tokens::Verifier,
};

/// Where the numbers come from.
#[derive(Clone)]
pub struct Sources {
    pub reactors: Arc<Reactors>,
    pub hub: Hub,
    pub bus: Arc<dyn Bus>,
    pub moderation: Arc<Moderation>,
    pub acceptor: Acceptor,
    pub api: Arc<Meter>,
    /// Where tokens from outside are taken.
    pub verifier: Option<Arc<Verifier>>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(Arc<Registry>);

impl Metrics {
    /// Registers `sources`.
    pub fn new(sources: Sources) -> Self {
        let mut registry = Registry::with_prefix("parlor");
        registry.register_collector(Box::new(sources));
        Self(Arc::new(registry))
    }

    /// All metrics in the OpenMetrics text format.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByProtocol {
    protocol: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByReason {
    protocol: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByAction {
    action: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByShard {
    shard: String,
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let totals = self.reactors.totals();
        let mut page = Page(&mut encoder);

        let connections = totals.connections.iter().map(|(p, n)| (ByProtocol { protocol: p.name() }, *n));
        page.gauges("connections", "Open client connections", connections)?;
        page.gauge("rooms", "Rooms with members on this gateway", self.hub.rooms() as f64)?;
        let health = self.bus.health();
        page.gauge("bus_up", "1 if the bus answers, else 0", f64::from(health != Health::Unavailable))?;
        let copies = matches!(health, Health::Replicated);
        page.gauge("bus_replicated", "1 if two copies hold every acknowledged message, else 0", f64::from(copies))?;
        let shards = self.bus.shards();
        let numbered =
            || shards.iter().enumerate().map(|(number, shard)| (ByShard { shard: number.to_string() }, shard));
        let help = "Time by which reading lags behind a shard's primary";
        let behind = numbered().map(|(label, shard)| (label, shard.behind.as_secs_f64()));
        page.timed_by("bus_behind", help, behind)?;
        let writable = numbered().map(|(label, shard)| (label, u64::from(shard.refusal.is_none())));
        page.gauges("bus_writable", "1 if a shard takes posts, else 0", writable)?;
        let pause = totals.flush_pause_micros as f64 / 1e6;
        page.timed("flush_pause", "Longest pause between writes that a reactor makes at present", pause)?;
        page.gauge("held_back", "Messages held back because the hub's queue is full", totals.held_back as f64)?;
        let Histograms { delivery, turn } = self.reactors.histograms();
        let help = "Time from the append of an entry to the write to its last reader on this gateway";
        page.histogram("delivery", help, delivery)?;
        page.histogram("reactor_turn", "Duration of a turn of a reactor's loop, without pauses", turn)?;

        let bus::Histograms { append, wait } = self.bus.histograms();
        let help = "Time from sending a group of posts to Redis to its acknowledgement, retries included";
        page.histogram("append", help, &append)?;
        let help = "Time from sending a write to Redis to the confirmation by WAIT that a replica holds it";
        page.histogram("wait", help, &wait)?;

        page.counter("messages_received", "Messages that clients sent", totals.messages_in)?;
        page.counter("received_bytes", "Bytes that clients sent", totals.bytes_in)?;
        page.counter("deliveries", "Room entries written to connections", totals.deliveries)?;
        page.counter("sent_bytes", "Bytes written to connections", totals.bytes_out)?;
        page.counter("writes", "System calls that wrote to connections", totals.writes)?;
        page.counter("signals_dropped", "Signals dropped because the hub's queue was full", totals.signals_dropped)?;
        page.counter("accept_pauses", "Times that accepting paused because resources ran out", self.acceptor.pauses())?;
        let hub = self.hub.totals();
        page.counter("posts", "Posts acknowledged by the bus, duplicates included", hub.posts)?;
        page.counter("posts_full", "Posts refused because the queue to the bus was full", hub.posts_full)?;
        page.counter("posts_failed", "Posts that the bus failed to store", hub.posts_failed)?;
        page.counter("groups", "Groups of posts sent to the bus, retries not counted", hub.groups)?;
        page.counter("entries", "Entries read from the bus", hub.entries)?;
        page.counter("encoded_chunks", "Chunks encoded, including those for resumes", hub.encoded)?;
        page.counter("joins", "Joins answered", hub.joins)?;
        page.counter("resumes", "Joins that resumed without a gap", hub.resumed)?;
        page.counter("gaps", "Gaps reported to readers", hub.gaps)?;
        page.counter("history_reads", "Reads of stored history", hub.reads)?;
        page.counter("bus_failures", "Calls of the bus that failed", hub.unavailable)?;
        let (asked, failed) = self.moderation.questions().unwrap_or_default();
        page.counter("webhook_questions", "Messages that the moderation webhook was asked about", asked)?;
        let help = "Messages for which the moderation webhook gave no valid answer in time";
        page.counter("webhook_failures", help, failed)?;
        let slow = [("disconnected", totals.slow_disconnected), ("skipped", totals.slow_skipped)];
        let slow = slow.map(|(action, n)| (ByAction { action }, n));
        page.counters("slow_consumers", "Connections that fell out of a room's ring", slow)?;

        let tokens = self.verifier.as_ref().map(|verifier| verifier.totals()).unwrap_or_default();
        page.gauge("jwt_keys", "Keys that tokens from outside are checked with", tokens.keys as f64)?;
        page.counter("jwt_keys_loaded", "Times that new keys of tokens were loaded", tokens.loaded)?;
        let help = "Times that loading the keys of tokens failed, and the old ones stayed";
        page.counter("jwt_keys_failed", help, tokens.failed)?;

        let mut refusals: Counts = totals.refusals.into_iter().map(|((p, reason), n)| ((Some(p), reason), n)).collect();
        for (key, n) in self.acceptor.refusals().all() {
            *refusals.entry(key).or_default() += n;
        }
        let protocol = |protocol: Option<ProtocolId>| protocol.map_or("none", ProtocolId::name);
        let refusals = refusals.into_iter().map(|((p, reason), n)| (ByReason { protocol: protocol(p), reason }, n));
        page.counters("refusals", "Refused connections, requests and messages, by protocol and reason", refusals)?;

        let Meter { answers, durations, messages } = &*self.api;
        page.counter("api_messages", "Messages that the server API handed to the bus", messages.get())?;
        page.metric("api_requests", "Requests to the server API, by route and class of status", None, answers)?;
        let help = "Time from a request to the server API until its answer begins";
        page.metric("api_request", help, Some(&Unit::Seconds), durations)
    }
}

struct Page<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    fn timed(&mut self, name: &str, help: &str, seconds: f64) -> fmt::Result {
        let gauge = ConstGauge::new(seconds);
        gauge.encode(self.0.encode_descriptor(name, help, Some(&Unit::Seconds), gauge.metric_type())?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn histogram(&mut self, name: &str, help: &str, seconds: &Histogram) -> fmt::Result {
        self.metric(name, help, Some(&Unit::Seconds), seconds)
    }

    fn metric(&mut self, name: &str, help: &str, unit: Option<&Unit>, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, unit, metric.metric_type())?)
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        self.measured(name, help, None, values.into_iter().map(|(labels, value)| (labels, value as f64)))
    }

    fn timed_by<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        seconds: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        self.measured(name, help, Some(&Unit::Seconds), seconds)
    }

    fn measured<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let kind = ConstGauge::new(0_f64).metric_type();
        let mut metric = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
