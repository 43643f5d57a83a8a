//! Connectors from text to live, and what a save costs.

use std::cell::Cell;

use divan::{AllocProfiler, Bencher, counter::ItemsCount};
use postern::config;
use postern_benches::{
    figures::loading::{SIZES, Service, small, thousand},
    must,
    sets::{self, most, within},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Text to what calls are answered from, its warnings with it.
#[divan::bench(args = within(&SIZES), sample_size = 1, sample_count = 10)]
fn text_to_live(bencher: Bencher<'_, '_>, connectors: usize) {
    let text = sets::text(connectors, true);
    bencher
        .counter(ItemsCount::new(connectors))
        .bench_local(|| must(sets::load(&text)));
}

/// Of that, the digest of the text.
#[divan::bench(args = within(&SIZES), sample_size = 1, sample_count = 10)]
fn digest(bencher: Bencher<'_, '_>, connectors: usize) {
    let text = sets::text(connectors, true);
    bencher
        .counter(ItemsCount::new(connectors))
        .bench_local(|| config::digest(&text));
}

/// A pass after one of a thousand small files was saved.
#[divan::bench(sample_size = 1, sample_count = 20)]
fn one_file_of_a_thousand(bencher: Bencher<'_, '_>) {
    let mut service = must(Service::start(&thousand(most().min(1_000))));
    let saves = Cell::new(0);
    let folder = service.folder();
    bencher
        .with_inputs(|| {
            saves.set(saves.get() + 1);
            must(folder.save("org-0003.toml", &small(3, saves.get())));
        })
        .bench_local_values(|()| assert!(service.pass(), "a save is seen"));
}

/// A pass where nothing was saved.
#[divan::bench(sample_size = 1, sample_count = 20)]
fn no_file_of_a_thousand(bencher: Bencher<'_, '_>) {
    let mut service = must(Service::start(&thousand(most().min(1_000))));
    bencher.bench_local(|| service.pass());
}
