// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The instructions of a thread that go to memory or to the TLB.

use super::ImportError;
use super::arithmetic::compute;
use super::initial::Place;
use super::thread::{Access, Held, Walk, What};

impl Walk {
    /// STCLR of one bit of a descriptor.
    pub(super) fn clear(&mut self, from: u8, base: u8) -> Result<(), ImportError> {
        let (place, _) = self.place(base, None)?;
        let field = match self.get(from).what {
            What::Number(bits) => FIELDS.iter().find(|(bit, _)| bits == 1 << bit),
            _ => None,
        };
        let (Place::Descriptor(variable), Some((_, field))) = (&place, field) else {
            return self.wrong("STCLR of something other than one field of a descriptor");
        };
        let text = format!("clear pte({variable}), {field}");
        self.stores += 1;
        let access = Access {
            label: self.labels.first().cloned(),
            result: format!("s{}", self.stores),
            place: place.clone(),
            written: Some(What::Computed),
            is_load: false,
            is_plain: false,
        };
        self.push(text, Some(access));
        Ok(())
    }

    pub(super) fn invalidate(
        &mut self,
        operation: &str,
        page: Option<u8>,
    ) -> Result<(), ImportError> {
        let lower = operation.to_lowercase();
        let base = lower.trim_end_matches("is").trim_end_matches("os");
        let text = match (base, page.map(|register| self.get(register))) {
            ("vmalle1", _) => format!("tlbi {lower}"),
            (
                "vae1" | "vale1" | "vaae1" | "vaale1",
                Some(Held {
                    what: What::PageNumber(variable),
                    after: None,
                }),
            ) => format!("tlbi {lower} {variable}"),
            ("vae1" | "vale1" | "vaae1" | "vaale1", _) => {
                return self.wrong("the operand of the TLBI is not the page number of a variable");
            }
            _ => return self.wrong(format!("instruction `TLBI {operation}`")),
        };
        self.push(text, None);
        Ok(())
    }

    /// The place at `base` plus `index`, and the result on which the address depends.
    fn place(&self, base: u8, index: Option<u8>) -> Result<(Place, Option<String>), ImportError> {
        let mut held = self.get(base);
        if let Some(index) = index {
            held = compute("ADD", false, &held, &self.get(index));
        }
        let place = match held.what {
            What::Address(variable) => Place::Variable(variable),
            What::DescriptorAddress(variable) => Place::Descriptor(variable),
            _ => return self.wrong("an address other than that of a variable or of a descriptor"),
        };
        Ok((place, held.after))
    }

    /// A name for a result in register `register` that the thread has not used.
    fn name(&self, register: u8) -> String {
        let taken = |name: &String| {
            let accesses = self.thread.lines.iter().filter_map(|l| l.access.as_ref());
            accesses.into_iter().any(|access| access.result == *name)
        };
        let more = (1..).map(|again| format!("r{register}_{again}"));
        let mut names = std::iter::once(format!("r{register}")).chain(more);
        names.find(|name| !taken(name)).unwrap_or_default()
    }

    pub(super) fn load(
        &mut self,
        mnemonic: &str,
        to: u8,
        base: u8,
        index: Option<u8>,
    ) -> Result<(), ImportError> {
        let (place, after) = self.place(base, index)?;
        let verb = match mnemonic {
            "LDR" => "load",
            "LDAR" => "load.acq",
            _ => "ldxr",
        };
        let result = self.name(to);
        let text = format!(
            "{verb} {result}, {}{}",
            written_place(&place),
            dependent(after)
        );
        let access = Access {
            label: self.labels.first().cloned(),
            result: result.clone(),
            place: place.clone(),
            written: None,
            is_load: true,
            is_plain: verb != "ldxr",
        };
        self.push(text, Some(access));
        self.thread.sources.insert(result.clone(), place);
        if to != 31 {
            self.thread.before.insert(result.clone(), self.get(to).what);
            self.set(to, What::Loaded(result).into());
        }
        Ok(())
    }

    /// The value in `from` as a scenario has it at `place`.
    fn value(&self, from: u8, place: &Place) -> Result<(What, String), ImportError> {
        let held = self.get(from);
        if held.after.is_some() {
            return self.wrong("a data dependency");
        }
        let text = match (&held.what, place) {
            (What::Number(number), Place::Variable(_)) => number.to_string(),
            (What::Number(0), Place::Descriptor(_)) => "inv".to_owned(),
            (What::Loaded(result), _) => result.clone(),
            (What::Descriptor(fields), Place::Descriptor(_)) => match fields.text(None) {
                Some(text) => text,
                None => return self.wrong("a valid descriptor without `oa`"),
            },
            _ => return self.wrong("a store of something other than a number or a descriptor"),
        };
        Ok((held.what, text))
    }

    pub(super) fn store(
        &mut self,
        mnemonic: &str,
        from: u8,
        base: u8,
        index: Option<u8>,
    ) -> Result<(), ImportError> {
        let (place, after) = self.place(base, index)?;
        let (what, value) = self.value(from, &place)?;
        let verb = if mnemonic == "STR" {
            "store"
        } else {
            "store.rel"
        };
        let text = format!(
            "{verb} {}, {value}{}",
            written_place(&place),
            dependent(after)
        );
        self.stores += 1;
        let label = self.labels.first().cloned();
        let access = Access {
            result: label.clone().unwrap_or(format!("s{}", self.stores)),
            label,
            place,
            written: Some(what),
            is_load: false,
            is_plain: true,
        };
        self.push(text, Some(access));
        Ok(())
    }

    /// A swap or a store-exclusive.
    pub(super) fn exchange(
        &mut self,
        verb: &str,
        to: u8,
        from: u8,
        base: u8,
    ) -> Result<(), ImportError> {
        let (place, after) = self.place(base, None)?;
        let (what, value) = self.value(from, &place)?;
        let result = self.name(to);
        let place_text = written_place(&place);
        let text = format!("{verb} {result}, {place_text}, {value}{}", dependent(after));
        let access = Access {
            label: self.labels.first().cloned(),
            result: result.clone(),
            place: place.clone(),
            written: Some(what),
            is_load: true,
            is_plain: false,
        };
        self.push(text, Some(access));
        if verb == "swap" {
            self.thread.sources.insert(result.clone(), place);
        }
        if to != 31 {
            self.thread.before.insert(result.clone(), self.get(to).what);
            self.set(to, What::Loaded(result).into());
        }
        Ok(())
    }
}

fn written_place(place: &Place) -> String {
    match place {
        Place::Descriptor(variable) => format!("pte({variable})"),
        Place::Variable(variable) => variable.clone(),
        Place::Register(_, register) => format!("r{register}"),
    }
}

fn dependent(after: Option<String>) -> String {
    after.map(|on| format!(", addr {on}")).unwrap_or_default()
}

/// Single bits of a descriptor that a scenario can clear.
const FIELDS: [(u32, &str); 5] = [
    (0, "valid"),
    (7, "ap2"),
    (10, "af"),
    (51, "dbm"),
    (52, "cont"),
];
