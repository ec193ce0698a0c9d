// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Outcomes are held against endings made by hand.

use vmsa::{FaultKind, Fsc};

use super::*;
use crate::litmus::parse;
use crate::litmus::scenario::{Page, Physical};
use crate::sim::Seed;

const TEXT: &str = r#"
    title = "every kind of result"
    requirements = ["ORD-01"]
    pages = { x = 2 }
    [[core]]
    program = ["load r0, x; load r1, pte(x); at r2, x[1]; if r0 = 1 then load r3, y; w: store x, 1"]
    [[outcome]]
    when = "WHEN"
    verdict = "A"
"#;

const TRANSLATION_3: Given = Given::Fault(Fsc::encode(FaultKind::Translation, 3));

struct Case {
    scenario: Scenario,
    layout: Layout,
}

impl Case {
    fn new(when: &str) -> Self {
        let scenario = parse("case", &TEXT.replace("WHEN", when)).unwrap();
        let layout = Layout::new(&scenario, &mut Seed::new(1).rng()).unwrap();
        Self { scenario, layout }
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            scenario: &self.scenario,
            layout: &self.layout,
        }
    }

    /// The ending in which memory is as at first, and the instructions gave `given`.
    fn ending(&self, given: [Given; 5]) -> Ending {
        let asked = self.judge().asked().into_iter();
        Ending {
            given: vec![given.to_vec()],
            words: asked.map(|pa| (pa, self.layout.word(pa))).collect(),
            cycle: 7,
        }
    }

    fn holds(&self, ending: &Ending) -> bool {
        self.judge()
            .holds(&self.scenario.outcomes[0].condition, ending)
    }
}

/// Whether `when` holds where r0 = 0, r1 is pte(x) as at first, AT gave x\[1\], the guard failed and
/// the store faulted.
fn holds(when: &str) -> bool {
    let case = Case::new(when);
    let slot = Slot {
        page: Page {
            variable: "x".to_owned(),
            page: 0,
        },
        space: 0,
        table: false,
    };
    let word = case.layout.word(case.layout.slot(&slot));
    let second = Physical {
        area: "x".to_owned(),
        page: 1,
    };
    let address = Given::Address(case.layout.physical(&second) + 8);
    let given = [
        Given::Number(0),
        Given::Number(word),
        address,
        Given::NotExecuted,
        TRANSLATION_3,
    ];
    case.holds(&case.ending(given))
}

#[test]
fn facts_hold_or_not() {
    for (when, expected) in [
        ("0:r0 = 0", true),
        ("0:r0 = 1", false),
        ("0:r0 = flt", false),
        ("0:w = flt", true),
        ("0:w = flt(translation)", true),
        ("0:w = flt(translation, 3)", true),
        ("0:w = flt(translation, 2)", false),
        ("0:w = flt(permission)", false),
        ("0:r1 = PA_x", true),
        ("0:r1 = PA_x ro", false),
        ("0:r1 = PA_y", false),
        ("0:r1.out = PA_x", true),
        ("0:r1.out = PA_y", false),
        ("0:r1.af = 1", true),
        ("0:r1.ap2 = 1", false),
        ("0:r2.out = PA_x[1]", true),
        ("0:r2.out = PA_x", false),
        ("PA_x = 0", true),
        ("PA_x[1] = 0x10", true),
        ("PA_y = 1", true),
        ("PA_y = 2", false),
        ("pte(x) = PA_x", true),
        ("pte(x[1]) = PA_x[1]", true),
        ("pte(x) = inv", false),
        ("pte(x).valid = 1", true),
        ("tab(x) = table", true),
    ] {
        assert_eq!(holds(when), expected, "{when}");
        assert_eq!(holds(&format!("!({when})")), !expected, "!({when})");
    }
}

#[test]
fn what_was_not_executed_satisfies_nothing() {
    assert!(!holds("0:r3 = 0"));
    assert!(!holds("0:r3 = 1"));
    assert!(!holds("0:r3 = flt"));
}

#[test]
fn conjunctions_and_alternatives_are_of_all_and_of_any() {
    assert!(holds("0:r0 = 0 & 0:w = flt"));
    assert!(!holds("0:r0 = 0 & 0:w = flt(permission)"));
    assert!(holds("0:r0 = 1 | 0:w = flt"));
    assert!(!holds("0:r0 = 1 | PA_y = 2"));
}

#[test]
fn an_ending_names_results_and_memory_as_the_file_does() {
    let case = Case::new("pte(x) = PA_x & PA_y = 1 & 0:r1.out = PA_x");
    let mut ending = case.ending([
        Given::Number(1),
        Given::Number(0),
        Given::Address(0),
        TRANSLATION_3,
        Given::Done,
    ]);
    let text = case.judge().describe(&ending);
    assert!(
        text.starts_with("0:r0=1 0:r1=inv ") && text.contains("0:r3=flt(Translation, 3) 0:w=done"),
        "{text}"
    );
    assert!(text.ends_with("PA_y=1 pte(x)=PA_x"), "{text}");
    for word in ending.words.values_mut() {
        *word ^= 1;
    }
    let text = case.judge().describe(&ending);
    assert!(text.ends_with("PA_y=0 pte(x)=PA_x inv"), "{text}");
}
