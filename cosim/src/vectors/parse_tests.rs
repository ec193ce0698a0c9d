// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of the reader: good files in both forms, and every defect with file, line and field.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const GOOD: &str = r#"{"scene":"s","regs":{"TCR_EL1":"0x10","TTBR0_EL1":"0x1000","TTBR1_EL1":"0x0","MAIR_EL1":"0xff","SCTLR_EL1":"0x1005"},"mem":[["0x1000",["0x2003","0x0"]]],"queries":[{"va":"0x1234","el":0,"op":"r","fsc":"0x05"},{"va":"0x8","el":1,"op":"x","pa":"0x9008","attr":"0xff","sh":3}]}"#;

fn parse(text: &str) -> Result<Vec<Scene>, VectorError> {
    scenes_from_reader(Path::new("t.jsonl"), text.as_bytes())
}

#[test]
fn a_scene_is_read_field_by_field() {
    let scenes = parse(&format!("\n{GOOD}\n")).unwrap();
    let [scene] = scenes.as_slice() else {
        panic!("one scene")
    };
    assert_eq!((scene.name.as_str(), scene.line), ("s", 2));
    assert_eq!(scene.registers.tcr.0, 0x10);
    assert_eq!(
        scene.memory,
        [Run {
            address: 0x1000,
            words: vec![0x2003, 0]
        }]
    );
    assert_eq!(scene.queries[0].expected, Answer::Fault(Fsc(5)));
    assert_eq!(
        scene.queries[1].expected,
        Answer::Translated {
            pa: 0x9008,
            attr: 0xff,
            sh: 3
        }
    );
    assert_eq!(scene.queries[1].el, El::El1);
    assert!(!scene.real_accesses());
}

#[test]
fn gzip_is_recognised_by_its_first_bytes() {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(GOOD.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let scenes = scenes_from_reader(Path::new("t"), packed.as_slice()).unwrap();
    assert_eq!(scenes, parse(GOOD).unwrap());
    let cut = scenes_from_reader(Path::new("t.gz"), &packed[..packed.len() - 9]).unwrap_err();
    assert!(cut.to_string().starts_with("t.gz: "), "{cut}");
}

#[test]
fn a_missing_file_is_named() {
    let error = read_scenes(Path::new("no-such-file.jsonl"))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("no-such-file.jsonl: "), "{error}");
}

#[test]
fn each_defect_names_file_line_and_field() {
    // (replace this, by this, field, part of the message)
    let cases = [
        (
            "TCR_EL1",
            "TCR_EL2",
            "regs.TCR_EL2",
            "did you mean \"TCR_EL1\"?",
        ),
        ("\"mem\"", "\"memory\"", "memory", "unknown key"),
        (
            "\"op\":\"r\"",
            "\"op\":\"read\"",
            "queries[0].op",
            "unknown operation",
        ),
        (
            "\"op\":\"r\"",
            "\"operation\":\"r\"",
            "queries[0].operation",
            "unknown key",
        ),
        ("\"el\":0", "\"el\":2", "queries[0].el", "use one of 0, 1"),
        ("\"el\":0", "\"el\":\"0\"", "queries[0].el", "not allowed"),
        ("0x1234", "0x12g4", "queries[0].va", "not a hex digit"),
        ("0x1234", "1234", "queries[0].va", "does not begin with 0x"),
        (
            "0x1234",
            "0x12345678123456789",
            "queries[0].va",
            "exceeds 64 bits",
        ),
        ("0x1234", "0x", "queries[0].va", "no digits"),
        (
            "\"va\":\"0x1234\"",
            "\"va\":4660",
            "queries[0].va",
            "not a hex string",
        ),
        ("\"va\":\"0x1234\",", "", "queries[0].va", "missing"),
        (
            "\"va\":\"0x8\"",
            "\"va\":\"0x2\"",
            "queries[1].va",
            "multiple of 4",
        ),
        (
            "\"sh\":3",
            "\"sh\":1",
            "queries[1].sh",
            "use one of 0, 2, 3",
        ),
        (
            "\"attr\":\"0xff\"",
            "\"attr\":\"0x100\"",
            "queries[1].attr",
            "too large",
        ),
        ("0x9008", "0x1000000000000", "queries[1].pa", "too large"),
        (
            "\"fsc\":\"0x05\"",
            "\"fsc\":\"0x3f\"",
            "queries[0].fsc",
            "not a fault",
        ),
        (
            "\"fsc\":\"0x05\"",
            "\"fsc\":\"0x05\",\"pa\":\"0x0\"",
            "queries[0].pa",
            "next to fsc",
        ),
        ("\"0x1000\",[", "\"0x1004\",[", "mem[0][0]", "multiple of 8"),
        ("\"0x2003\"", "\"0xz\"", "mem[0][1][0]", "not a hex digit"),
        (
            "[[\"0x1000\",[\"0x2003\",\"0x0\"]]]",
            "[[\"0x1000\"]]",
            "mem[0]",
            "not a pair",
        ),
        (
            "\"TCR_EL1\":\"0x10\"",
            "\"TCR_EL1\":\"0xc010\"",
            "regs.TCR_EL1",
            "names no granule",
        ),
        (
            "\"TCR_EL1\":\"0x10\"",
            "\"TCR_EL1\":\"0x800000000000010\"",
            "regs.TCR_EL1",
            "LPA2",
        ),
        (
            "\"SCTLR_EL1\":\"0x1005\"",
            "\"SCTLR_EL1\":null",
            "regs.SCTLR_EL1",
            "not a hex string",
        ),
        (",\"SCTLR_EL1\":\"0x1005\"", "", "regs.SCTLR_EL1", "missing"),
        ("\"scene\":\"s\"", "\"scene\":7", "scene", "not a string"),
        (
            "\"queries\":[",
            "\"queries\":[3,",
            "queries[0]",
            "not an object",
        ),
    ];
    for (old, new, field, message) in cases {
        assert!(GOOD.contains(old), "{old}");
        let text = format!(
            "{}\n{}",
            GOOD.replace("\"s\"", "\"first\""),
            GOOD.replacen(old, new, 1)
        );
        let error = parse(&text).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("t.jsonl:2: {field}: ")),
            "{old} -> {new}: {error}"
        );
        assert!(error.contains(message), "{old} -> {new}: {error}");
    }
}

#[test]
fn broken_json_and_empty_files_are_told() {
    let error = parse("{\"scene\":").unwrap_err().to_string();
    assert!(
        error.starts_with("t.jsonl:1: column 9: not JSON"),
        "{error}"
    );
    let error = parse("[1]").unwrap_err().to_string();
    assert!(
        error.starts_with("t.jsonl:1: line: [1] is not an object"),
        "{error}"
    );
    let error = parse("\n").unwrap_err().to_string();
    assert!(error.contains("holds no scene"), "{error}");
    let error = parse(&format!("{GOOD}\n{GOOD}")).unwrap_err().to_string();
    assert!(
        error.starts_with("t.jsonl:2: scene: \"s\" is already"),
        "{error}"
    );
}
