#include <galley/policy/batch_mode.hpp>

#include <chrono>
#include <functional>

#include <support/catch.hpp>

using galley::BatchMode;
using galley::ModeTrial;
using std::chrono::milliseconds;

namespace {

constexpr BatchMode inline_plain{.caller_runs = true, .yields = false};
constexpr BatchMode queue_yield{.caller_runs = false, .yields = true};
constexpr BatchMode queue_plain{.caller_runs = false, .yields = false};

using Rows = std::function<std::size_t(BatchMode)>;  // in a window of this mode

/// How many of `windows` windows, all under contention, were spent in `mode`.
int spent(ModeTrial& trial, BatchMode mode, int windows, const Rows& rows) {
  int times = 0;
  for (int i = 0; i < windows; ++i) {
    if (trial.mode() == mode) ++times;
    trial.observe({.rows = rows(trial.mode()), .took = milliseconds(4), .contended = true});
  }
  return times;
}

/// `best` gives three times the rows.
Rows favouring(BatchMode best) {
  return [best](BatchMode mode) { return mode == best ? 300U : 100U; };
}

}  // namespace

TEST_CASE("without contention callers run their own batches", "[batch_mode]") {
  ModeTrial trial;
  CHECK(trial.mode() == inline_plain);
  for (int i = 0; i < 50; ++i) {
    trial.observe({.rows = 100, .took = milliseconds(4), .contended = false});
    CHECK(trial.mode() == inline_plain);
  }
}

TEST_CASE("the mode that is fastest under contention is found and kept", "[batch_mode]") {
  for (const BatchMode best : {inline_plain, queue_yield, queue_plain}) {
    ModeTrial trial;
    static_cast<void>(spent(trial, best, 3, favouring(best)));
    CHECK(trial.mode() == best);
    CHECK(spent(trial, best, 1000, favouring(best)) > 950);
  }
}

TEST_CASE("callers run their own batches under contention only where that is much faster",
          "[batch_mode]") {
  ModeTrial trial;
  static_cast<void>(spent(trial, queue_plain, 40,
                          [](BatchMode mode) { return mode == inline_plain ? 140U : 100U; }));
  CHECK(trial.mode() == queue_plain);
  static_cast<void>(spent(trial, queue_plain, 200,
                          [](BatchMode mode) { return mode == inline_plain ? 170U : 100U; }));
  CHECK(trial.mode() == inline_plain);
}

TEST_CASE("a mode that becomes the best is found after a while", "[batch_mode]") {
  ModeTrial trial;
  static_cast<void>(spent(trial, queue_plain, 300, favouring(queue_plain)));
  static_cast<void>(spent(trial, queue_yield, 300, favouring(queue_yield)));
  CHECK(trial.mode() == queue_yield);
}

TEST_CASE("when the contention is over callers run their own batches again", "[batch_mode]") {
  ModeTrial trial;
  static_cast<void>(spent(trial, queue_yield, 50, favouring(queue_yield)));
  REQUIRE(trial.mode() == queue_yield);
  for (int i = 0; i < 4; ++i) trial.observe({.rows = 9, .took = milliseconds(4)});
  CHECK(trial.mode() == inline_plain);
}

TEST_CASE("callers that may not run their own batches never do", "[batch_mode]") {
  ModeTrial trial(false);
  CHECK_FALSE(trial.mode().caller_runs);
  CHECK(spent(trial, inline_plain, 200, favouring(queue_yield)) == 0);
  CHECK(trial.mode() == queue_yield);
}
