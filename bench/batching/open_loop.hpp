// Single rows sent when a schedule says, whatever became of those before, to a real worker.
#pragma once

#include <galley/load/open_loop.hpp>

#include <batching/cases.hpp>
#include <batching/load.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bench {

/// What is sent.
struct Scene {
  const Subject& subject;
  double rate = 0;  ///< Rows a second.
  galley::load::Arrivals arrivals = galley::load::Arrivals::poisson;
  galley::Duration deadline = {};
};

/// How many runs were made, and how many of them were void: the generator was late by too much.
struct Tries {
  std::size_t made = 0;
  std::size_t voided = 0;
  std::string why = {};  ///< The last of them was.

  /// Whether to go on for another: not for ever, nor where there seems to be none that counts.
  bool go_on(std::size_t most) const { return made < most && (made < 8 || voided < made); }
  std::string text() const {
    return std::to_string(voided) + " of " + std::to_string(made) + " runs void";
  }
};

/// One run; none where it is void.
inline std::optional<galley::load::Run> run_of(Report& report, const Model& model,
                                               const Scene& scene, std::uint64_t seed,
                                               double seconds, Tries& tries) {
  const Subject& subject = scene.subject;
  const auto requests =
      static_cast<std::size_t>(std::clamp(scene.rate * seconds, 1500.0, 100'000.0));
  const galley::load::OpenLoop loop{.schedule = {.rate = scene.rate,
                                                 .requests = requests,
                                                 .arrivals = scene.arrivals,
                                                 .seed = seed},
                                    .warm_up_requests = requests / 10};
  const galley::Result<galley::load::Run> run =
      run_open(model,
               {.row = [&](std::size_t) { return subject.sample; },
                .check =
                    [&](std::size_t i, const galley::Tensor& got) {
                      return i % 64 != 0 || is_answer(got, subject.answer);
                    },
                .deadline = scene.deadline},
               loop);
  report.check(run.has_value() && run->wrong == 0, subject.name + ": wrong answers in open loop");
  report.check(run.has_value() && run->unanswered == 0, subject.name + ": unanswered requests");
  if (!run.has_value()) return std::nullopt;
  ++tries.made;
  using galley::load::Verdict;
  const bool is_void = run->verdict == Verdict::void_lag || run->verdict == Verdict::too_fast;
  if (!is_void) return *run;
  ++tries.voided;
  tries.why = run->why();
  return std::nullopt;
}

/// The p99 in us; all of the run where requests were refused.
inline double p99_of(const galley::load::Run& run) {
  const galley::Duration p99 = run.failed() > 0 ? run.window : run.latency.p99.value_or(run.window);
  return std::chrono::duration<double, std::micro>(p99).count();
}

/// Rows a second of `model` when there is always more to do.
inline double capacity_of(Report& report, const Model& model, const Subject& subject,
                          std::chrono::milliseconds time) {
  Chains chains(model, galley::Rows<galley::Tensor>::single(subject.sample), subject.answer, 256);
  const Load load = chains.run(time);
  report.check(load.wrong == 0, subject.name + ": wrong answers under load");
  return load.rows_per_second;
}

/// Adds a line, or says that there is none because every run was void.
inline void add_or_void(Report& report, const Line& line, const std::vector<double>& values,
                        const Tries& tries) {
  if (values.empty()) return report.say("VOID " + line.id + ": " + line.name + ": " + tries.why);
  report.add(line, spread_of(values));
}

}  // namespace bench
