//! The check that all indexes return the same ids.

use crate::population::Population;

const N_FINDS: usize = 300;
const N_FIND_ANYS: usize = 30;
/// How many ids are compared, at most: queries that match much need fewer of them.
const MAX_IDS: usize = 4 << 20;
/// How many ranges are replaced between the two parts of the check.
const N_REPLACED: u64 = 200;

/// Ends the program unless all indexes return the same ids, before and after ranges were replaced.
/// Returns the mean number of ids of a find.
pub(crate) fn check(populations: &mut [(&str, Population<'_>)]) -> f64 {
    let hits = check_queries(populations);
    for (_, population) in &mut *populations {
        population.replace(N_REPLACED);
    }
    check_queries(populations);
    hits
}

fn check_queries<'a>(populations: &mut [(&str, Population<'a>)]) -> f64 {
    let rewind = |populations: &mut [(&str, Population<'a>)]| {
        for (_, population) in populations {
            population.rewind();
        }
    };
    rewind(populations);
    let (mut n_ids, mut n_queries) = (0, 0);
    while n_queries < N_FINDS && n_ids < MAX_IDS {
        n_ids += compare(populations, Population::find);
        n_queries += 1;
    }
    let hits = n_ids as f64 / n_queries as f64;
    rewind(populations);
    (n_ids, n_queries) = (0, 0);
    while n_queries < N_FIND_ANYS && n_ids < MAX_IDS {
        n_ids += compare(populations, Population::find_any);
        n_queries += 1;
    }
    rewind(populations);
    hits
}

/// Returns the number of ids.
fn compare<'a>(
    populations: &mut [(&str, Population<'a>)],
    query: for<'p> fn(&'p mut Population<'a>) -> &'p mut Vec<u32>,
) -> usize {
    let mut expected: Option<(&str, Vec<u32>)> = None;
    for (name, population) in populations {
        let mut ids = std::mem::take(query(population));
        ids.sort_unstable();
        match &expected {
            None => expected = Some((name, ids)),
            Some((first, first_ids)) => assert!(
                *first_ids == ids,
                "{name} and {first} return different ids: {} and {} of them",
                ids.len(),
                first_ids.len()
            ),
        }
    }
    expected.map_or(0, |(_, ids)| ids.len())
}
