// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Compiles the verilated models, Verilator's run-time library and the bridge, and links them.
//!
//! Models and run-time library are compiled from OUT_DIR with relative paths and without debug
//! information, so that ccache recognises them again in another profile or target folder.

use crate::BuildError;
use crate::fingerprint::Fingerprint;
use crate::tool::Verilator;
use crate::verilate::Model;
use std::path::{Path, PathBuf};

/// Included first in every C++ file: where the model's text output goes.
const OUTPUT_HEADER: &str = "model_output.h";

/// The parts of Verilator's run-time library in use.
const RUNTIME: &[&str] = &[
    "verilated.cpp",
    "verilated_dpi.cpp",
    "verilated_fst_c.cpp",
    "verilated_save.cpp",
    "verilated_threads.cpp",
];

/// Verilator's functions that would print and abort: the bridge defines its own.
const REPLACED: &[&str] = &[
    "VL_USER_FINISH",
    "VL_USER_STOP",
    "VL_USER_FATAL",
    "VL_USER_WARN",
];

pub struct Compiler {
    out_dir: PathBuf,
    crate_dir: PathBuf,
    /// A name under which ccache stands for the C++ compiler, if it is installed.
    ccache: Option<PathBuf>,
    /// What the compiler calls itself: objects of another one are not reused.
    identity: String,
}

impl Compiler {
    pub fn find(out_dir: &Path, crate_dir: &Path) -> Compiler {
        let mut compiler = Compiler {
            out_dir: out_dir.to_owned(),
            crate_dir: crate_dir.to_owned(),
            ccache: find_ccache(out_dir),
            identity: String::new(),
        };
        if let Ok(tool) = compiler.build().try_get_compiler() {
            let version = tool.to_command().arg("--version").output();
            compiler.identity = format!(
                "{:?} {}",
                tool.to_command(),
                version
                    .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
                    .unwrap_or_default()
            );
        }
        compiler
    }

    /// Settings shared by all C++ in this crate.
    fn build(&self) -> cc::Build {
        let mut build = cc::Build::new();
        self.configure(&mut build);
        build
    }

    fn configure(&self, build: &mut cc::Build) {
        build
            .cpp(true)
            .std("c++17")
            .opt_level(2)
            .debug(false)
            .warnings(false)
            .cargo_metadata(false)
            .flag_if_supported("-fcf-protection=none")
            .define("VM_COVERAGE", "0")
            .define("VM_SC", "0")
            .define("VM_TRACE", "1")
            .define("VM_TRACE_FST", "1")
            .define("VM_TRACE_VCD", "0")
            .define("VM_TRACE_SAIF", "0")
            .define("VL_TIME_CONTEXT", None)
            .define("VL_PRINTF", "mmu_cosim_model_printf");
        for name in REPLACED {
            build.define(name, None);
        }
        if let Some(ccache) = &self.ccache {
            build.compiler(ccache);
        }
    }

    /// Verilator's run-time library.
    pub fn runtime(&self, verilator: &Verilator) -> Result<(), BuildError> {
        let mut key = Fingerprint::new();
        key.add(&verilator.version_line);
        let files = RUNTIME
            .iter()
            .map(|f| verilator.include().join(f))
            .collect();
        self.library("runtime", files, &mut key, verilator)
    }

    /// The library of one verilated model.
    pub fn model(&self, model: &Model, verilator: &Verilator) -> Result<(), BuildError> {
        let mut key = Fingerprint::new();
        key.add(&model.fingerprint);
        self.library(
            model.name,
            model.cpp_files(&self.out_dir)?,
            &mut key,
            verilator,
        )
    }

    /// Compiles `files` into `lib/libsocket_<name>.a` unless it was made from the same input.
    fn library(
        &self,
        name: &str,
        files: Vec<PathBuf>,
        key: &mut Fingerprint,
        verilator: &Verilator,
    ) -> Result<(), BuildError> {
        let header = crate::read(&self.crate_dir.join("cpp").join(OUTPUT_HEADER))?;
        let key = key
            .add(&self.identity)
            .add(&header)
            .add(include_str!("compile.rs"))
            .text();
        let lib_dir = self.out_dir.join("lib");
        let stamp = lib_dir.join(format!("{name}.stamp"));
        let library = lib_dir.join(format!("libsocket_{name}.a"));
        if library.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|old| old == key) {
            return Ok(());
        }
        let _ = std::fs::remove_file(&stamp);
        crate::write_if_changed(&self.out_dir.join(OUTPUT_HEADER), &header)?;
        std::env::set_current_dir(&self.out_dir)
            .map_err(|e| format!("cannot enter {}: {e}", self.out_dir.display()))?;
        let (slow, fast): (Vec<_>, Vec<_>) = files.into_iter().partition(|f| runs_once(f));
        let configured = |files: Vec<PathBuf>, opt_level| {
            let mut build = self.build();
            build
                .files(files)
                .opt_level(opt_level)
                .flag("-include")
                .flag(OUTPUT_HEADER)
                .include(".")
                .include(name)
                .include(verilator.include())
                .include(verilator.include().join("vltstd"))
                .out_dir("lib");
            build
        };
        let result = configured(slow, 0)
            .try_compile_intermediates()
            .and_then(|objects| {
                configured(fast, 2)
                    .objects(objects)
                    .try_compile(&format!("socket_{name}"))
            })
            .map_err(|e| format!("compiling the C++ of \"{name}\" failed: {e}"));
        std::env::set_current_dir(&self.crate_dir)
            .map_err(|e| format!("cannot enter {}: {e}", self.crate_dir.display()))?;
        result?;
        crate::write_if_changed(&stamp, &key)
    }

    /// The bridge itself: the cxx glue and one instance of the shim template for each model.
    pub fn bridge(&self, models: &[Model], verilator: &Verilator) -> Result<(), BuildError> {
        let generated = self.out_dir.join("shim");
        let mut list = String::new();
        let mut build = cxx_build::bridge("src/ffi.rs");
        self.configure(&mut build);
        for model in models {
            list.push_str(&format!(
                "MMU_COSIM_CONFIG(\"{}\", {})\n",
                model.name, model.symbol
            ));
            let text = format!(
                "#include \"{class}.h\"\n#include \"verilated_socket.h\"\n                 MMU_COSIM_DEFINE_CONFIG(\"{name}\", {symbol}, {class}, \"{fingerprint}\")\n",
                class = model.class,
                name = model.name,
                symbol = model.symbol,
                fingerprint = model.fingerprint
            );
            let file = generated.join(format!("config_{}.cpp", model.name));
            crate::write_if_changed(&file, &text)?;
            build.file(file).include(self.out_dir.join(&model.dir));
        }
        crate::write_if_changed(&generated.join("configs.inc"), &list)?;
        build
            .file("cpp/bridge.cpp")
            .file("cpp/reports.cpp")
            .include("cpp")
            .include(&generated)
            .include(verilator.include())
            .include(verilator.include().join("vltstd"))
            .flag("-include")
            .flag(OUTPUT_HEADER)
            .out_dir(self.out_dir.join("lib"))
            .try_compile("socket_bridge")
            .map_err(|e| format!("compiling the bridge failed: {e}"))
    }

    /// Tells cargo what to link: users before what they use.
    pub fn link(&self, models: &[Model], verilator: &Verilator) {
        println!(
            "cargo::rustc-link-search=native={}",
            self.out_dir.join("lib").display()
        );
        println!("cargo::rustc-link-lib=static=socket_bridge");
        for model in models {
            println!("cargo::rustc-link-lib=static=socket_{}", model.name);
        }
        println!("cargo::rustc-link-lib=static=socket_runtime");
        println!("cargo::rustc-link-lib=z");
        // From 5.046 or so the FST writer uses the system's LZ4 instead of a copy of its own.
        if !verilator.include().join("gtkwave/lz4.c").is_file() {
            println!("cargo::rustc-link-lib=lz4");
        }
        println!("cargo::rustc-link-lib=stdc++");
    }
}

/// Verilator puts construction, settling and trace declarations in files of their own: large, slow to
/// optimise, and run once.
fn runs_once(file: &Path) -> bool {
    file.file_stem()
        .is_some_and(|stem| stem.to_string_lossy().ends_with("__Slow"))
}

/// ccache run under a compiler's name compiles with that compiler. A compiler chosen by the user
/// through the environment is left alone.
fn find_ccache(out_dir: &Path) -> Option<PathBuf> {
    println!("cargo::rerun-if-env-changed=MMU_COSIM_NO_CCACHE");
    for variable in ["CXX", "HOST_CXX", "TARGET_CXX"] {
        println!("cargo::rerun-if-env-changed={variable}");
        if std::env::var_os(variable).is_some() {
            return None;
        }
    }
    if std::env::var_os("MMU_COSIM_NO_CCACHE").is_some() {
        return None;
    }
    let ccache = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join("ccache"))
        .find(|p| p.is_file())?;
    let name = out_dir.join("ccache").join("c++");
    if !name.exists() {
        let _ = std::fs::remove_file(&name);
        std::fs::create_dir_all(name.parent()?).ok()?;
        std::os::unix::fs::symlink(ccache, &name).ok()?;
    }
    Some(name)
}
