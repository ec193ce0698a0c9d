// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What can go wrong with a simulated socket.

use std::path::PathBuf;

/// An error of the bridge. Texts fit after "failed to ...:".
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// No configuration has this name.
    #[error("no configuration is named \"{name}\" (known: {known})")]
    UnknownConfig {
        /// The name asked for.
        name: String,
        /// Names that exist, separated by commas.
        known: String,
    },
    /// A plant was asked of a configuration without plants, or of a number that does not exist.
    #[error("configuration \"{config}\" has no plant {plant} (it has {count})")]
    UnknownPlant {
        /// The configuration.
        config: String,
        /// Number asked for.
        plant: u32,
        /// Plants in that configuration, numbered from 1.
        count: usize,
    },
    /// The RTL's info port does not carry the socket's magic and version.
    #[error(
        "the RTL behind \"{config}\" speaks another socket ABI: magic {magic:#06x} version {version}, expected {expected_magic:#06x} version {expected_version}"
    )]
    Abi {
        /// The configuration.
        config: String,
        /// Magic read from the info port.
        magic: u16,
        /// ABI version read from the info port.
        version: u16,
        /// Magic of this crate.
        expected_magic: u16,
        /// ABI version of this crate.
        expected_version: u16,
    },
    /// The model failed while it was built or reset.
    #[error("the model of \"{config}\" died during reset: {text}")]
    Model {
        /// The configuration.
        config: String,
        /// What the model said.
        text: String,
    },
    /// A waveform file could not be written.
    #[error("cannot write waveform {}: {text}", path.display())]
    Trace {
        /// The file.
        path: PathBuf,
        /// Why.
        text: String,
    },
    /// A snapshot is of another configuration, another build, or damaged.
    #[error("the snapshot was not made by this build of configuration \"{config}\"")]
    Snapshot {
        /// The configuration it was to be restored into.
        config: String,
    },
}
