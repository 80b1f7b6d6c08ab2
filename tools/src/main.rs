//! The `odradek` binary.
fn main() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or("info".into()),
        )
        .init();
    let mut over = Vec::new();
    let mut args = std::env::args().skip(2);
    while let Some(a) = args.next() {
        if a == "--set" {
            let v = args.next().unwrap();
            let (k, v) = v.split_once('=').unwrap();
            over.push((k.to_string(), v.to_string()));
        }
    }
    let (settings, warnings) = odradek_shards::config::Settings::load(None, &over).unwrap();
    for w in warnings {
        tracing::warn!("{w}");
    }
    if let Err(e) = odradek_shards::node::run(settings, |b, s| {
        println!("READY bootstrap={b} shards={}", s.join(","))
    }) {
        eprintln!("{e}");
        std::process::exit(1)
    }
}
