// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The known name that somebody may have meant who typed an unknown one.

/// The candidate nearest to a mistyped `name`, if it is near enough to be what was meant. Case does
/// not count.
///
/// ```
/// use cosim::nearest::nearest;
///
/// let known = ["permissions", "contiguous", "dirty-state"];
/// assert_eq!(nearest("permisions", known), Some("permissions"));
/// assert_eq!(nearest("dirty", known), Some("dirty-state"));
/// assert_eq!(nearest("zzz", known), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    // A typo (Damerau-Levenshtein) first, a common part (half a name remembered) second.
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let lower = candidate.to_lowercase();
        let mut score = strsim::normalized_damerau_levenshtein(&name, &lower);
        if name.len() >= 3 && lower.contains(&name) {
            score = score.max(0.75);
        }
        if score > best.map_or(0.0, |(score, _)| score) {
            best = Some((score, candidate));
        }
    }
    best.filter(|(score, _)| *score >= 0.4)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn registers_offer_slips_only() {
        let known = ["TCR_EL1", "TTBR0_EL1", "MAIR_EL1"];
        assert_eq!(nearest("TCR_EL2", known), Some("TCR_EL1"));
        assert_eq!(nearest("tcr_el1", known), Some("TCR_EL1"));
        assert_eq!(nearest("VBAR", known), None);
    }

    #[test]
    fn part_of_a_name_is_enough() {
        let known = ["linux-6.12-4k-blocks-m0-cpu0"];
        assert_eq!(nearest("linux-6.12-4k", known), Some(known[0]));
    }
}
