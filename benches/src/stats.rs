//! The few statistics that the tables need.

/// The median; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The value that a share of all are at most; 0 of nothing.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Jain's index of how evenly `shares` are spread: 1 if all are equal, 1/n if one has it all.
pub(crate) fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|&share| share as f64).sum();
    let squares: f64 = shares.iter().map(|&share| (share as f64).powi(2)).sum();
    if squares == 0.0 { 1.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

/// The smallest share by the largest; 0 if somebody got nothing.
pub(crate) fn min_by_max(shares: &[u64]) -> f64 {
    let max = shares.iter().copied().max().unwrap_or(0);
    let min = shares.iter().copied().min().unwrap_or(0);
    if max == 0 { 1.0 } else { min as f64 / max as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        assert_eq!(
            [0.0, 0.1, 0.9, 0.91, 1.0].map(|share| quantile(&values, share)),
            [1.0, 1.0, 9.0, 10.0, 10.0]
        );
        assert_eq!(quantile(&[], 0.9), 0.0);
    }

    #[test]
    fn jain_is_one_for_equal_shares_and_one_by_n_for_a_monopoly() {
        assert_eq!(jain(&[5, 5, 5, 5]), 1.0);
        assert_eq!(jain(&[20, 0, 0, 0]), 0.25);
        assert_eq!(jain(&[0, 0]), 1.0);
    }

    #[test]
    fn min_by_max_is_zero_for_a_starved_thread() {
        assert_eq!(min_by_max(&[0, 7]), 0.0);
        assert_eq!(min_by_max(&[5, 10]), 0.5);
    }
}
