// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of the import, on tests made up here.

use super::{Kinds, Options, import};
use crate::litmus::scenario::{
    Condition, DescriptorSpec, Instruction, Operation, Place, Scenario, Seen, Value, Verdict,
};

/// A shootdown with a flag, in both ways to write it.
const SHOOTDOWN: &str = r#"AArch64 Flag+shoot
"a page unmapped,
 then a flag"
Variant=vmsa,fatal
Origin=hand
{
  [PTE(x)]=(oa:PA(x),valid:1); (* the default *)
  x=7; int y=1; int64_t 1:X5;
  0:X1=x; 0:X2=pte_x; 0:X3=(oa:phy_x,valid:0); 0:X6=f;
  1:X1=x; 1:X6=f;
}
 P0              | P1                  ;
 STR X3,[X2]     | LDR W0,[X6]         ;
 DSB ISH         | EOR W4,W0,W0        ;
 LSR X9,X1,#12   | L0:                 ;
 TLBI VAE1IS,X9  | LDR W5,[X1,W4,SXTW] ;
 DSB ISH         |                     ;
 MOV W8,#1       |                     ;
 STLR W8,[X6]    |                     ;
locations [1:X5; x;]
exists (1:X0=1 /\ ~fault(P1:L0,x))
"#;

fn scenario(text: &str, options: &Options) -> Scenario {
    let imported = import(text, options).unwrap_or_else(|error| panic!("{error}: {text}"));
    crate::litmus::parse(&imported.name, &imported.toml).unwrap()
}

fn imported(text: &str) -> Scenario {
    scenario(text, &Options::default())
}

fn refused(text: &str) -> String {
    import(text, &Options::default()).unwrap_err().to_string()
}

/// A test of one thread.
fn one(initial: &str, code: &str, condition: &str) -> String {
    let rows = code.replace(';', ";\n");
    format!("AArch64 One\n{{{initial}}}\nP0;\n{rows}\n{condition}\n")
}

fn texts(program: &[Instruction]) -> Vec<&str> {
    program.iter().map(|i| i.text.as_str()).collect()
}

#[test]
fn a_shootdown_becomes_a_scenario() {
    let scenario = imported(SHOOTDOWN);
    assert_eq!(scenario.name, "Flag+shoot");
    assert_eq!(scenario.cite, ["Flag+shoot"]);
    assert!(!scenario.breaks_bbm);
    let writer = [
        "store pte(x), PA_x inv",
        "dsb ish",
        "tlbi vae1is x",
        "dsb ish",
        "store.rel f, 1",
    ];
    assert_eq!(texts(&scenario.cores[0]), writer);
    let reader = ["load r0, f", "load r5, x, addr r0"];
    assert_eq!(texts(&scenario.cores[1]), reader);
    let memory: Vec<_> = scenario
        .setup
        .memory
        .iter()
        .map(|(p, v)| (p.area.as_str(), *v))
        .collect();
    assert_eq!(memory, [("x", 7)], "y holds 1 anyway");
    assert_eq!(scenario.outcomes[0].text, "1:r0 = 1 & !(1:r5 = flt)");
    assert_eq!(scenario.outcomes[0].verdict, [Verdict::Allowed; 2]);
}

#[test]
fn verdicts_come_from_options_or_lists() {
    let (without, wrong) = Kinds::read("# published\nFlag+shoot Allowed\nOther+Forbid\n");
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].line, 3);
    let (with, wrong) = Kinds::read("Flag+shoot   Forbid\n");
    assert!(wrong.is_empty());
    let kinds = [Some(without), Some(with)];
    let verdict = |options: &Options| scenario(SHOOTDOWN, options).outcomes[0].verdict;
    let mut options = Options {
        verdict: None,
        kinds,
    };
    assert_eq!(verdict(&options), [Verdict::Allowed, Verdict::Forbidden]);
    options.verdict = Some("F".to_owned());
    assert_eq!(verdict(&options), [Verdict::Forbidden; 2]);
    options = Options::default();
    let never = SHOOTDOWN.replace("exists", "~exists");
    assert_eq!(
        scenario(&never, &options).outcomes[0].verdict,
        [Verdict::Forbidden; 2]
    );
    options.verdict = Some("Z".to_owned());
    let error = import(SHOOTDOWN, &options).unwrap_err().to_string();
    assert!(error.contains("verdict `Z` is none of"), "{error}");
}

#[test]
fn descriptors_keep_their_fields() {
    let text = one(
        "PTE(x)=(af:0,db:0,dbm:1); 0:X1=(oa:PA(w),db:0,el0:0); 0:X2=PTE(x)",
        "SWP X1,X5,[X2];",
        "exists 0:X5=(oa:PA(x),db:0,dbm:1) /\\ [PTE(x)]=(oa:PA(w),valid:0) /\\ w=0",
    );
    let scenario = imported(&text.replace("{PTE", "{int w=3; PTE"));
    let spec = |text: &str| {
        crate::litmus::grammar::whole(text, crate::litmus::grammar::descriptor).unwrap()
    };
    let first: Vec<&DescriptorSpec> = scenario.setup.descriptors.iter().map(|(_, d)| d).collect();
    assert_eq!(first, [&spec("PA_x clean af0")]);
    let Operation::Swap { place, value } = &scenario.cores[0][0].operation else {
        panic!("{:?}", scenario.cores[0][0])
    };
    assert!(matches!(place, Place::Descriptor(_)));
    assert_eq!(*value, Value::Descriptor(spec("PA_w ro el1")));
    let Condition::All(parts) = &scenario.outcomes[0].condition else {
        panic!("{:?}", scenario.outcomes[0])
    };
    let wanted = Seen::Descriptor(spec("PA_x clean"));
    assert!(matches!(&parts[0], Condition::Result { is, .. } if *is == wanted));
    let wanted = Seen::Descriptor(spec("PA_w inv"));
    assert!(matches!(&parts[1], Condition::Descriptor(_, is) if *is == wanted));
}

#[test]
fn a_fault_ends_its_thread() {
    let initial = "PTE(x)=(valid:0); 0:X1=x; 0:X2=y";
    let code = "L0: LDR W3,[X1]; MOV W4,#1; STR W4,[X2];";
    // Asked for: nothing behind it is executed.
    let cut = imported(&one(initial, code, "exists fault(P0:L0,x)"));
    assert_eq!(texts(&cut.cores[0]), ["load r3, x"]);
    // Not spoken of: runs with it are not meant.
    let rest = imported(&one(initial, code, "exists y=1"));
    assert_eq!(rest.outcomes[0].text, "PA_y = 1 & !(0:r3 = flt)");
    let all = imported(&one(initial, code, "forall y=1"));
    assert_eq!(all.outcomes[0].text, "0:r3 = flt | (PA_y = 1)");
    assert_eq!(all.outcomes[0].verdict, [Verdict::Required; 2]);
    // In an alternative it would end the thread in some of the runs that are meant.
    let either = one(initial, code, "exists (fault(P0:L0,x) \\/ y=1)");
    assert!(refused(&either).contains("would end the thread early"));
    // A register that a fault leaves alone.
    let kept = imported(&one(initial, "LDR W3,[X1];", "exists 0:X3=0"));
    assert_eq!(kept.outcomes[0].text, "(0:r3 = 0 | 0:r3 = flt)");
    let nothing = one(initial, code, "exists fault(P0:L0,x) /\\ 0:X4=1");
    assert_eq!(
        refused(&nothing),
        "line 8: the condition can hold in no run"
    );
}

#[test]
fn accesses_that_are_handled_are_repeated() {
    let text = one(
        "PTE(x)=(valid:0); 0:X1=x; 0:X2=y",
        "LDR W3,[X1]; STR W3,[X2];",
        "exists y=1",
    );
    let text = text.replace("One\n", "One\nVariant=imprecise\nEL0=P0\n");
    let scenario = imported(&text);
    let program = ["retry load.el0 r3, x", "store.el0 y, r3"];
    assert_eq!(texts(&scenario.cores[0]), program);
}

#[test]
fn branches_become_guards() {
    let initial = "int c; PTE(x)=(af:0); 0:X1=c; 0:X2=x; 1:X1=c";
    let text = |branch: &str, condition: &str| {
        format!(
            "AArch64 Branch\nTTHM=HA\n{{{initial}}}\nP0 | P1 ;\nLDR W0,[X1] | MOV W5,#3 ;\n\
             {branch} | STR W5,[X1] ;\nLDR W3,[X2] | ;\nL1: | ;\nDSB SY | ;\nexists {condition}\n"
        )
    };
    let equal = imported(&text("CBNZ W0,L1", "0:X0=3 /\\ 0:X3=0"));
    let program = [
        "load r0, c",
        "if r0 = 0 then load r3, x",
        "branch r0",
        "dsb sy",
    ];
    assert_eq!(texts(&equal.cores[0]), program);
    assert!(equal.setup.ha && !equal.setup.hd);
    // The register keeps its first value where the load is left out.
    let asked = "0:r0 = 3 & (0:r3 = 0 | !(0:r0 = 0)) & !(0:r3 = flt)";
    assert_eq!(equal.outcomes[0].text, asked);
    // c holds 0 or 3, so "not 0" is 3.
    let unequal = imported(&text("CBZ W0,L1", "0:X0=3"));
    assert_eq!(unequal.cores[0][1].guard, Some(("r0".to_owned(), 3)));
}

#[test]
fn what_a_scenario_cannot_say_is_refused_with_its_line() {
    for (from, to, says) in [
        (
            "AArch64 ",
            "X86 ",
            "line 1: the first line is `AArch64` and a name",
        ),
        ("vmsa,fatal", "mte", "line 4: Variant `mte`"),
        (
            "(oa:phy_x,valid:0)",
            "(oa:phy_x,nt:0)",
            "line 9: `0:X3=(oa:phy_x,nt:0)` cannot be read at `nt:0)`: expected a field",
        ),
        (
            " P0  ",
            " T0  ",
            "line 12: `T0` stands where P0 is expected",
        ),
        (
            "DSB ISH  ",
            "SVC #0",
            "line 14: instruction `SVC` with these operands",
        ),
        (
            "LSR X9,X1,#12",
            "MOV X9,X1",
            "line 16: the operand of the TLBI is not",
        ),
        (
            "EOR W4,W0,W0",
            "EOR W4,W0,W8",
            "line 16: an address other than",
        ),
        (
            "MOV W8,#1",
            "MOV W8,X2",
            "line 19: a store of something other than",
        ),
        ("~fault", "~failed", "line 21: `(1:X0=1 /\\ ~failed"),
        (
            "1:X0=1",
            "1:X0=x",
            "line 21: 1:r0 compared with a value of another kind",
        ),
        (
            "exists",
            "filter",
            "line 21: the condition begins with `filter`",
        ),
        (
            "VAE1IS",
            "IPAS2E1IS",
            "line 16: instruction `TLBI IPAS2E1IS`",
        ),
    ] {
        let text = SHOOTDOWN.replace(from, to);
        assert_ne!(text, SHOOTDOWN, "{from}");
        let error = refused(&text);
        assert!(error.starts_with(says), "{error}\nexpected {says}");
    }
}
