// Cascade and fallback: a cheap model answers what it is sure of, a costly one the rest; then
// others. Is a number prime? The cheap model knows small divisors and says how sure it is; the
// costly one tries all divisors, and is unavailable for large numbers, as a model behind a network
// may be.
#include <galley/compose/cascade.hpp>
#include <galley/compose/fallback.hpp>
#include <galley/compose/last_good.hpp>
#include <galley/compose/map.hpp>

#include <cstdio>
#include <string>

namespace {

struct Verdict {
  bool prime = false;
  double confidence = 0;
  const char* by = "";
};

Verdict by_small_divisors(const long& n) {
  for (const long divisor : {2, 3, 5, 7, 11, 13}) {
    if (n != divisor && n % divisor == 0) return {false, 1, "cheap"};
  }
  return {true, n < 17 * 17 ? 1 : 0.6, "cheap"};
}

galley::Result<Verdict> by_all_divisors(const long& n) {
  if (n > 1'000'000) return galley::Error(galley::Status::unavailable, "too large today");
  for (long divisor = 17; divisor * divisor <= n; divisor += 2) {
    if (n % divisor == 0) return Verdict{false, 1, "costly"};
  }
  return Verdict{true, 1, "costly"};
}

void print(long n, const galley::Result<Verdict>& answer) {
  std::printf("%ld: %s\n", n,
              answer.has_value()
                  ? (std::string(answer->prime ? "prime" : "not prime") + ", " + answer->by).c_str()
                  : to_string(answer.error()).c_str());
}

}  // namespace

int main() {
  const auto cheap = galley::map("cheap", by_small_divisors);
  const auto costly = galley::map("costly", by_all_divisors);
  const auto sure = [](const Verdict& verdict) { return verdict.confidence > 0.9; };
  const auto both = galley::cascade({cheap, costly}, sure);
  const auto graph =
      galley::fallback({both, galley::constant<long>("guess", Verdict{true, 0.5, "a guess"})});

  const galley::Rows<long> numbers{91, 97, 323, 331, 1'000'003};
  const galley::Outcomes<Verdict> answers = graph.serve_rows(numbers);
  for (std::size_t i = 0; i < numbers.size(); ++i) print(numbers[i], answers[i].result());

  galley::ChainStatistics taken;
  if (!graph.control("cascade(cheap, costly)", taken).has_value()) return 1;
  for (const auto& level : taken.levels) {
    std::printf("%s: %d rows came, %d answered there\n", level.name.c_str(),
                static_cast<int>(level.rows), static_cast<int>(level.answered));
  }

  // Or what the same key was told last: the row's key says whose question it is.
  const galley::Key key = 42;
  const auto steady = galley::last_good(costly);
  print(331, steady.serve(331, {}, {.keys = {&key, 1}}));
  print(1'000'003, steady.serve(1'000'003, {}, {.keys = {&key, 1}}));
}

// prints:
// 91: not prime, cheap
// 97: prime, cheap
// 323: not prime, costly
// 331: prime, costly
// 1000003: prime, a guess
// cheap: 5 rows came, 2 answered there
// costly: 3 rows came, 3 answered there
// 331: prime, costly
// 1000003: prime, costly
