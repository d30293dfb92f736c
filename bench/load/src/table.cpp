#include <galley/load/report.hpp>
#include <src/text.hpp>

#include <fmt/format.h>

#include <iterator>
#include <string>

namespace galley::inline v1::load {

namespace {

using Text = std::back_insert_iterator<std::string>;

void write_head(Text out, const Sweep& sweep) {
  fmt::format_to(out, "{} on {}, {} cores, {}, load {}\n", sweep.name, sweep.machine.cpu,
                 sweep.machine.cores, sweep.machine.compiler,
                 sweep.machine.load < 0 ? "unknown" : fmt::format("{:.2f}", sweep.machine.load));
  if (sweep.machine.load > 0.3) {
    fmt::format_to(out, "The machine is busy: figures of a load above 0.3 are not to be kept.\n");
  }
  fmt::format_to(out, "capacity {}/s, of {} clients in a closed loop; {}/s again at the end\n",
                 brief(sweep.capacity.rate), sweep.capacity.clients, brief(sweep.again.goodput()));
  fmt::format_to(out, "latency from the intended time; {} arrivals, seed {}, deadline {}\n\n",
                 to_string(sweep.arrivals), sweep.seed,
                 sweep.deadline == Duration::zero() ? "none" : brief(sweep.deadline));
}

constexpr std::string_view columns =
    "{:>9} {:>9} {:>9} {:>9}  {:>8} {:>8} {:>8} {:>8} {:>8}  {:>8} {:>8} {:>7} {:>5} {:>4}  {}\n";

void write_line(Text out, const std::string& name, const Run& run) {
  const bool open = run.loop == Run::Loop::open;
  fmt::format_to(
      out, fmt::runtime(columns), name, open ? brief(run.offered) : "-", brief(run.throughput()),
      brief(run.goodput()), brief(run.latency.p50), brief(run.latency.p90), brief(run.latency.p99),
      brief(run.latency.p999), brief(run.latency.max), open ? brief(run.lag_p99) : "-",
      run.latency.samples, run.failed(), run.wrong,
      open ? fmt::format("{:.0f}%", 100 * run.generator_share()) : "-", label(run.verdict));
}

/// What else than `ok` was answered, and what is wrong with a run that the line does not show.
void write_notes(Text out, const std::string& name, const Run& run) {
  for (std::size_t i = 1; i < Run::statuses; ++i) {
    if (run.by_status[i] == 0) continue;
    fmt::format_to(out, "{}: {} answered {}\n", name, run.by_status[i],
                   to_string(static_cast<Status>(i)));
  }
  if (run.verdict != Verdict::valid && run.verdict != Verdict::void_lag) {
    fmt::format_to(out, "{}: {}: {}\n", name, label(run.verdict), run.why());
  }
}

/// What makes a run void, where one is.
std::string void_note(const Sweep& sweep) {
  std::size_t voided = 0;
  bool by_computing = false;
  for (const Run& run : sweep.points) {
    if (run.verdict != Verdict::void_lag) continue;
    ++voided;
    by_computing = by_computing || run.computed_by_sender;
  }
  if (voided == 0) return {};
  return fmt::format(
      "{} of {} rates are VOID: the p99 of the generator's lag is above {:.0f} % of "
      "the median latency{}\n",
      voided, sweep.points.size(), 100 * max_lag_share,
      by_computing ? "; it computes this graph: serve it on(executor, graph)" : "");
}

}  // namespace

std::string to_table(const Sweep& sweep) {
  std::string text;
  std::string notes;
  const Text out(text);
  write_head(out, sweep);
  fmt::format_to(out, fmt::runtime(columns), "load", "offered/s", "answer/s", "good/s", "p50",
                 "p90", "p99", "p99.9", "max", "lag p99", "samples", "failed", "wrong", "gen",
                 "verdict");
  const auto write = [&](const std::string& name, const Run& run) {
    write_line(out, name, run);
    write_notes(Text(notes), name, run);
  };
  for (const Run& run : sweep.capacity.runs) write(fmt::format("closed {}", run.clients), run);
  for (const Run& run : sweep.points) write(fmt::format("{:.0f}%", 100 * sweep.share(run)), run);
  write("again", sweep.again);
  text += "\ngen: the processor that the generator used; failed: not answered ok\n";
  return text + void_note(sweep) + notes;
}

}  // namespace galley::inline v1::load
