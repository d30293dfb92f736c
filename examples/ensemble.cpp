// An ensemble: three models that see a row differently, a vote that one of them may miss, and a
// combiner of one's own with its contract test.
#include <galley/compose/ensemble.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/runtime/thread_pool.hpp>
#include <galley/testing/contracts/combiner.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using galley::map, galley::Result, galley::Votes;
using Scores = std::vector<double>;  // of rain and of sunshine

struct Sky {
  double pressure;
  double humidity;
  std::string seen;
};

Result<Scores> seen(const Sky& sky) {
  if (sky.seen.empty()) return galley::Error(galley::Status::unavailable, "curtains drawn");
  return sky.seen == "clouds" ? Scores{2, 0} : Scores{0, 2};
}

/// The middle one of the members' numbers; of an even number of them, the lower.
struct Median {
  Result<double> combine(const Votes<double>& votes) const {
    std::vector<double> all;
    for (const auto& vote : votes) {
      if (vote.has_value()) all.push_back(*vote.value);
    }
    if (all.empty()) return galley::Error(galley::Status::internal, "nobody has answered");
    std::sort(all.begin(), all.end());
    return all[(all.size() - 1) / 2];
  }
};

}  // namespace

int main() {
  // Members may see the row in their own way: a view goes before the model.
  const auto pressure = map("pressure", [](const Sky& sky) { return sky.pressure; });
  const auto humidity = map("humidity", [](const Sky& sky) { return sky.humidity; });
  const auto barometer = map("barometer", [](double p) { return Scores{1010 - p, 0}; });
  const auto hygrometer = map("hygrometer", [](double h) { return Scores{h / 20, 3}; });
  const auto window = map("window", seen);

  const galley::ThreadPool pool{{.workers = 2}};
  const auto forecast =
      galley::ensemble(pool, galley::SoftVote{},
                       {pressure | barometer, humidity | hygrometer, window}, {.quorum = 2});
  const galley::Rows<Sky> skies{{1008, 80, "clouds"}, {1012, 30, ""}, {1011, 50, "sun"}};
  const galley::Outcomes<Scores> outcomes = forecast.serve_rows(skies);
  for (const Scores& scores : outcomes.survivors()) std::printf("rain %.2f\n", scores[0]);
  const auto strict = galley::ensemble(galley::SoftVote{}, {pressure | barometer, window});
  std::printf("%s\n", to_string(strict.serve(skies[1]).error()).c_str());

  // A combiner of one's own, and its contract test.
  const auto twice = map("twice", [](int n) { return n * 2.0; });
  const auto square = map("square", [](int n) { return 1.0 * n * n; });
  const auto middle = galley::ensemble(Median{}, {twice, square, twice});
  std::printf("median %.1f\n", middle.serve(3).value_or(-1));
  const auto failures = galley::check_combiner(Median{}, 3, std::vector<double>{-1.5, 0, 2, 7});
  std::printf("%zu failures\n", failures.size());
  return outcomes.all_ok() && failures.empty() ? 0 : 1;
}

// prints:
// rain 0.83
// rain 0.15
// rain 0.26
// unavailable: fewer than 2 of 2 members answered: member "window": curtains drawn
// median 6.0
// 0 failures
