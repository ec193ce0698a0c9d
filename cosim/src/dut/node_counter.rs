// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The event counters of a node: the layout of `rtl/pkg/node_pmu_pkg.sv` with names and meanings
//! (section 7.2 of the memory system contract).

use std::fmt;

use super::info::Info;

/// Cores, of all nodes, that have counters at each node.
const CORES: u8 = 8;
/// Nodes with cores that have a histogram and link counters.
const SOURCES: u8 = 4;
/// Buckets of a latency histogram: bucket b holds what took fewer than 2 << b clocks and no earlier
/// bucket holds. Clocks are counted modulo 65536.
pub const LATENCY_BUCKETS: u8 = 16;
/// Indices of the first histogram, event and link counters.
const LATENCY: u8 = 64;
const EVENT: u8 = 128;
const REQUEST_STALL: u8 = 160;
const ANSWER_STALL: u8 = 164;
/// Counters of a node, gaps included.
pub const NODE_COUNTERS: usize = 168;

/// Makes an enumeration of counters, in the order of the package, with their names.
macro_rules! node_counters {
    ($(#[$doc:meta])* $kind:ident, $all:ident; $($variant:ident, $name:literal, $description:literal;)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $kind {
            $(
                #[doc = concat!($name, ": ", $description, ".")]
                $variant,
            )*
        }

        #[doc = concat!("Every [`", stringify!($kind), "`], in the order of the package.")]
        pub const $all: [$kind; [$($name),*].len()] = [$($kind::$variant),*];

        impl $kind {
            /// Name, as the package has it behind `NODE_`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What is counted, in one line.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)*
                }
            }
        }
    };
}

node_counters! {
    /// What a node counts for each core.
    Traffic, TRAFFIC;
    Read, "READ", "data and instruction reads accepted";
    WalkRead, "WALK_READ", "descriptor reads accepted";
    Write, "WRITE", "writes accepted";
    Swap, "SWAP", "compare-and-swaps of the core and its walkers accepted";
    BytesTo, "BYTES_TO", "bytes that requests carry, as links charge them";
    BytesFrom, "BYTES_FROM", "bytes that answers carry";
    Answer, "ANSWER", "answers given";
    Error, "ERROR", "answers that are errors";
}

node_counters! {
    /// What a node counts of its memory controller.
    NodeEvent, NODE_EVENTS;
    RowHit, "ROW_HIT", "READs and WRITEs of a row opened for an earlier one";
    RowClosed, "ROW_CLOSED", "first READs and WRITEs of a row opened in a closed bank";
    RowConflict, "ROW_CONFLICT", "first READs and WRITEs of a row for which another was closed";
    Activate, "ACTIVATE", "ACTIVATE commands";
    Refresh, "REFRESH", "REFRESH commands";
    Turnaround, "TURNAROUND", "changes between READs and WRITEs on a channel";
    RefreshWait, "REFRESH_WAIT", "clocks in which a request waited for a refresh";
    AgeOverride, "AGE_OVERRIDE", "requests served for their age while others waited";
    ReadForwarded, "READ_FORWARDED", "reads that a queued write answered";
    WriteMerged, "WRITE_MERGED", "writes that joined a queued write";
    ReadQueue, "READ_QUEUE", "queued reads, summed over the clocks";
    WriteQueue, "WRITE_QUEUE", "queued writes, summed over the clocks";
    ReadQueueMost, "READ_QUEUE_MOST", "most queued reads of a channel";
    WriteQueueMost, "WRITE_QUEUE_MOST", "most queued writes of a channel";
    SliceHit, "SLICE_HIT", "reads that the memory-side cache answered";
    SliceMiss, "SLICE_MISS", "reads that the memory-side cache did not hold";
    Tail, "TAIL", "requests that the tail generator delayed";
    TokenStall, "TOKEN_STALL", "clocks in which the port waited for tokens";
    CreditStall, "CREDIT_STALL", "clocks in which a request waited for a credit of the port";
}

/// A counter of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeCounter {
    /// Requests of a core and their answers.
    Of(u8, Traffic),
    /// Answers to the cores of a node (first), by clocks from the request's entry into the link at
    /// its source to the answer's exit there: the bucket (second).
    Latency(u8, u8),
    /// Something of the memory controller.
    Event(NodeEvent),
    /// Clocks in which the link from that node waited for tokens.
    RequestStall(u8),
    /// Clocks in which the link back to that node waited for tokens.
    AnswerStall(u8),
}

impl NodeCounter {
    /// Index at the socket.
    #[must_use]
    pub const fn index(self) -> u8 {
        match self {
            Self::Of(core, traffic) => core % CORES * 8 + traffic as u8,
            Self::Latency(source, bucket) => {
                LATENCY + source % SOURCES * LATENCY_BUCKETS + bucket % LATENCY_BUCKETS
            }
            Self::Event(event) => EVENT + event as u8,
            Self::RequestStall(source) => REQUEST_STALL + source % SOURCES,
            Self::AnswerStall(source) => ANSWER_STALL + source % SOURCES,
        }
    }

    /// The counters of a node of such hardware; none if it has not got those of this list.
    pub fn of(info: &Info) -> impl Iterator<Item = Self> + use<> {
        let built = usize::from(info.node_counters) == NODE_COUNTERS;
        let sizes = (info.cores.min(CORES), info.cpu_nodes.min(SOURCES));
        built.then(|| Self::sized(sizes)).into_iter().flatten()
    }

    /// The counters of a node of the largest hardware.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::sized((CORES, SOURCES))
    }

    fn sized((cores, sources): (u8, u8)) -> impl Iterator<Item = Self> {
        let traffic = (0..cores).flat_map(|core| TRAFFIC.map(|traffic| Self::Of(core, traffic)));
        let latency = (0..sources).flat_map(|source| {
            (0..LATENCY_BUCKETS).map(move |bucket| Self::Latency(source, bucket))
        });
        traffic
            .chain(latency)
            .chain(NODE_EVENTS.map(Self::Event))
            .chain((0..sources).map(Self::RequestStall))
            .chain((0..sources).map(Self::AnswerStall))
    }
}

impl fmt::Display for NodeCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(core, traffic) => write!(f, "CORE{core}_{}", traffic.name()),
            Self::Latency(source, bucket) if bucket + 1 == LATENCY_BUCKETS => {
                write!(f, "FROM{source}_CYCLES_MORE")
            }
            Self::Latency(source, bucket) => write!(f, "FROM{source}_CYCLES_{}", 2_u32 << bucket),
            Self::Event(event) => f.write_str(event.name()),
            Self::RequestStall(source) => write!(f, "FROM{source}_REQUEST_STALL"),
            Self::AnswerStall(source) => write!(f, "FROM{source}_ANSWER_STALL"),
        }
    }
}

/// The values of every counter of one node at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeCounts([u64; NODE_COUNTERS]);

impl Default for NodeCounts {
    fn default() -> Self {
        Self([0; NODE_COUNTERS])
    }
}

impl NodeCounts {
    /// Value of `counter`.
    #[must_use]
    pub const fn get(&self, counter: NodeCounter) -> u64 {
        self.0[counter.index() as usize]
    }

    /// Value of what is counted for `core`.
    #[must_use]
    pub const fn of(&self, core: u8, traffic: Traffic) -> u64 {
        self.get(NodeCounter::Of(core, traffic))
    }

    /// Value of an event of the memory controller.
    #[must_use]
    pub const fn event(&self, event: NodeEvent) -> u64 {
        self.get(NodeCounter::Event(event))
    }

    /// Requests accepted from `core`.
    #[must_use]
    pub fn accepted(&self, core: u8) -> u64 {
        [
            Traffic::Read,
            Traffic::WalkRead,
            Traffic::Write,
            Traffic::Swap,
        ]
        .map(|traffic| self.of(core, traffic))
        .iter()
        .sum()
    }

    /// The histogram of answers to the cores of node `source`.
    #[must_use]
    pub fn latencies(&self, source: u8) -> [u64; LATENCY_BUCKETS as usize] {
        std::array::from_fn(|bucket| self.get(NodeCounter::Latency(source, bucket as u8)))
    }

    /// Sets the value of `counter`.
    pub const fn set(&mut self, counter: NodeCounter, value: u64) {
        self.0[counter.index() as usize] = value;
    }

    /// Adds the values of `other`; of what is a maximum, takes the greater one.
    pub fn add(&mut self, other: &Self) {
        let most = [NodeEvent::ReadQueueMost, NodeEvent::WriteQueueMost]
            .map(|event| NodeCounter::Event(event).index());
        for (index, (sum, value)) in (0..).zip(self.0.iter_mut().zip(other.0)) {
            *sum = match most.contains(&index) {
                true => value.max(*sum),
                false => sum.wrapping_add(value),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = include_str!("../../../rtl/pkg/node_pmu_pkg.sv");

    /// The names of the enumeration `kind`, in the order of the package.
    fn listed(kind: &str) -> Vec<&'static str> {
        let end = PACKAGE
            .find(&format!("}} {kind};"))
            .expect("the enumeration is there");
        let start = PACKAGE[..end].rfind("typedef enum").expect("it begins");
        let name = |line: &'static str| {
            let line = line.trim().strip_prefix("NODE_")?;
            Some(&line[..line.find([',', ' ']).unwrap_or(line.len())])
        };
        PACKAGE[start..end].lines().filter_map(name).collect()
    }

    fn parameter(name: &str) -> usize {
        let (_, behind) = PACKAGE
            .split_once(&format!("{name} = "))
            .expect("it is there");
        let digits = behind.split(';').next().unwrap_or("");
        digits.parse().expect("a number")
    }

    #[test]
    fn names_and_places_agree_with_the_package() {
        assert_eq!(listed("node_core_e"), TRAFFIC.map(Traffic::name));
        assert_eq!(listed("node_event_e"), NODE_EVENTS.map(NodeEvent::name));
        for (name, value) in [
            ("NODE_CORES", usize::from(CORES)),
            ("NODE_SOURCES", usize::from(SOURCES)),
            ("NODE_BUCKETS", usize::from(LATENCY_BUCKETS)),
            ("NODE_LATENCY", usize::from(LATENCY)),
            ("NODE_EVENT", usize::from(EVENT)),
            ("NODE_REQUEST_STALL", usize::from(REQUEST_STALL)),
            ("NODE_ANSWER_STALL", usize::from(ANSWER_STALL)),
            ("NODE_PMU_COUNT", NODE_COUNTERS),
        ] {
            assert_eq!(parameter(name), value, "{name}");
        }
    }

    #[test]
    fn no_two_counters_of_the_largest_hardware_share_an_index() {
        let words = [
            0x0000_0808_0003_4d4d,
            0,
            4 | 1 << 8 | (NODE_COUNTERS as u64) << 16,
        ];
        let info = Info::decode(&words).expect("eight cores on four of eight nodes");
        let mut indices: Vec<u8> = NodeCounter::of(&info).map(NodeCounter::index).collect();
        let all = indices.len();
        assert_eq!(all, 64 + 64 + NODE_EVENTS.len() + 8);
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), all);
        assert!(
            indices
                .iter()
                .all(|&index| usize::from(index) < NODE_COUNTERS)
        );
        let other = Info {
            node_counters: 9,
            ..info
        };
        assert_eq!(NodeCounter::of(&other).count(), 0);
    }

    #[test]
    fn counts_add_up_and_maxima_stay_maxima() {
        let (read, most) = (NodeCounter::Of(1, Traffic::Read), NodeEvent::ReadQueueMost);
        let mut counts = NodeCounts::default();
        counts.set(read, 3);
        counts.set(NodeCounter::Event(most), 5);
        let mut sum = counts;
        sum.add(&counts);
        assert_eq!((sum.get(read), sum.event(most)), (6, 5));
        assert_eq!(read.to_string(), "CORE1_READ");
        assert_eq!(NodeCounter::Latency(1, 5).to_string(), "FROM1_CYCLES_64");
    }
}
