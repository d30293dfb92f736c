#include <galley/policy/batch_mode.hpp>

#include <array>
#include <chrono>
#include <functional>

#include <support/catch.hpp>

using galley::BatchMode;
using galley::ModeTrial;
using std::chrono::milliseconds;

namespace {

constexpr BatchMode inline_plain{.caller_runs = true, .yields = false};
constexpr BatchMode inline_yield{.caller_runs = true, .yields = true};
constexpr BatchMode queue_yield{.caller_runs = false, .yields = true};
constexpr BatchMode queue_plain{.caller_runs = false, .yields = false};

using Rows = std::function<std::size_t(BatchMode)>;  // in a window of this mode

/// How many of `windows` windows were spent in each mode, under contention.
std::array<int, 4> spent(ModeTrial& trial, int windows, const Rows& rows) {
  std::array<int, 4> times{};
  for (int i = 0; i < windows; ++i) {
    const BatchMode mode = trial.mode();
    ++times[mode.caller_runs ? (mode.yields ? 1 : 0) : (mode.yields ? 2 : 3)];
    trial.observe({.rows = rows(mode), .took = milliseconds(4), .contended = true});
  }
  return times;
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
  for (const BatchMode best : {inline_plain, inline_yield, queue_yield, queue_plain}) {
    ModeTrial trial;
    const Rows rows = [best](BatchMode mode) { return mode == best ? 300U : 100U; };
    static_cast<void>(spent(trial, 4, rows));
    CHECK(trial.mode() == best);
    const std::array<int, 4> times = spent(trial, 1000, rows);
    const std::size_t index = best.caller_runs ? (best.yields ? 1 : 0) : (best.yields ? 2 : 3);
    CHECK(times[index] > 950);
  }
}

TEST_CASE("of modes that are as good the one with the least machinery is kept", "[batch_mode]") {
  ModeTrial trial;
  static_cast<void>(spent(trial, 40, [](BatchMode) { return 100U; }));
  CHECK(trial.mode() == inline_plain);
}

TEST_CASE("a mode that becomes the best is found after a while", "[batch_mode]") {
  ModeTrial trial;
  static_cast<void>(
      spent(trial, 300, [](BatchMode mode) { return mode == queue_plain ? 300U : 100U; }));
  static_cast<void>(
      spent(trial, 300, [](BatchMode mode) { return mode == queue_yield ? 300U : 100U; }));
  CHECK(trial.mode() == queue_yield);
}

TEST_CASE("when the contention is over callers run their own batches again", "[batch_mode]") {
  ModeTrial trial;
  static_cast<void>(
      spent(trial, 50, [](BatchMode mode) { return mode == queue_yield ? 300U : 100U; }));
  REQUIRE(trial.mode() == queue_yield);
  for (int i = 0; i < 4; ++i) trial.observe({.rows = 9, .took = milliseconds(4)});
  CHECK(trial.mode() == inline_plain);
}

TEST_CASE("callers that may not run their own batches never do", "[batch_mode]") {
  ModeTrial trial(false);
  CHECK_FALSE(trial.mode().caller_runs);
  const std::array<int, 4> times = spent(trial, 200, [](BatchMode) { return 100U; });
  CHECK(times[0] + times[1] == 0);
}
