//! Which of two values wins: the smallest, or the largest.

use std::fmt::Debug;

use crate::values::rank::Rank;

/// Which of two different values wins.
pub trait Side: Clone + Debug + Send + Sync + 'static {
    const NAME: &'static str;
    const USAGE: &'static str;
    const GIVES: &'static str;

    fn wins<T: PartialOrd + ?Sized>(challenger: &T, holder: &T) -> bool;

    /// False only if the challenger does not win over the holder behind this bar.
    fn may_win<N: Rank>(challenger: N, bar: N) -> bool;

    /// The value that every other one wins over.
    fn weakest<N: Rank>() -> N;

    /// The zero that the other one wins over.
    const LOSING_ZERO: f64;
}

#[derive(Clone, Debug)]
pub struct Smallest;

impl Side for Smallest {
    const NAME: &'static str = "min";
    const USAGE: &'static str = "min(x)";
    const GIVES: &'static str = "the smallest number, BOOLEAN, DATE, TIMESTAMP or VARCHAR";

    #[inline]
    fn wins<T: PartialOrd + ?Sized>(challenger: &T, holder: &T) -> bool {
        challenger < holder
    }

    #[inline(always)]
    fn may_win<N: Rank>(challenger: N, bar: N) -> bool {
        challenger.may_precede(bar)
    }

    fn weakest<N: Rank>() -> N {
        N::LAST
    }

    const LOSING_ZERO: f64 = 0.0;
}

#[derive(Clone, Debug)]
pub struct Largest;

impl Side for Largest {
    const NAME: &'static str = "max";
    const USAGE: &'static str = "max(x)";
    const GIVES: &'static str = "the largest number, BOOLEAN, DATE, TIMESTAMP or VARCHAR";

    #[inline]
    fn wins<T: PartialOrd + ?Sized>(challenger: &T, holder: &T) -> bool {
        challenger > holder
    }

    #[inline(always)]
    fn may_win<N: Rank>(challenger: N, bar: N) -> bool {
        challenger.may_follow(bar)
    }

    fn weakest<N: Rank>() -> N {
        N::FIRST
    }

    const LOSING_ZERO: f64 = -0.0;
}
