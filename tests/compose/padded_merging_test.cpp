// Lengths that run together.
#include <galley/compose/padded.hpp>

#include <support/clock.hpp>
#include <support/padding.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include <support/catch.hpp>

using galley::Outcomes;
using galley::padded;
using galley::Padding;
using galley::Rows;
using galley::Shape;
using galley::Tensor;
using support::BlockLog;
using support::counting;
using support::padded_sum;
using support::padding_of;
using support::paddings;
using namespace std::chrono_literals;

using Shapes = std::vector<Shape>;

TEST_CASE("lengths run together once that is measured to be cheaper", "[padded]") {
  support::HandClock clock;
  const auto log = std::make_shared<BlockLog>();
  Padding options = paddings();
  options.clock = clock.now().clock;
  const bool merges = GENERATE(true, false);
  if (!merges) options.merge = Padding::Merge::never;
  const auto graph = padded_sum(log, options);
  // A call costs far more than what it computes.
  log->during = [&](const Shape& shape) { clock.advance(100us + 1us * shape[0] * shape[1]); };
  const Rows<Tensor> mixed{counting(3), counting(6), counting(12)};
  CHECK(graph.serve_rows(mixed).all_ok());
  CHECK(log->shapes == Shapes{{1, 4}, {1, 8}, {1, 16}});  // nothing is known yet
  for (const std::size_t length : {3U, 6U, 12U}) {
    for (std::size_t n = 1; n <= 4; ++n) {
      Rows<Tensor> alike;
      for (std::size_t i = 0; i < n; ++i) alike.push_back(counting(length));
      CHECK(graph.serve_rows(alike).all_ok());
    }
  }
  log->shapes.clear();
  const Outcomes<float> outcomes = graph.serve_rows(mixed);
  CHECK(log->shapes == (merges ? Shapes{{3, 16}} : Shapes{{1, 4}, {1, 8}, {1, 16}}));
  CHECK(*outcomes[0] == 6);
  CHECK(*outcomes[1] == 21);
  CHECK(*outcomes[2] == 78);
  const galley::PaddingStatistics seen = padding_of(graph);
  CHECK(seen.lengths[2].merged == (merges ? 2 : 0));
  CHECK((clock.reads() > 0) == merges);
  // Now and then they are left apart, so that what they cost apart stays known.
  std::size_t apart = 0;
  for (int i = 0; i < 64; ++i) {
    log->shapes.clear();
    CHECK(graph.serve_rows(mixed).all_ok());
    apart += log->shapes.size() == 3 ? 1U : 0U;
  }
  CHECK(apart == (merges ? 2 : 64));
}

TEST_CASE("lengths stay apart where filling costs more than a call", "[padded]") {
  support::HandClock clock;
  const auto log = std::make_shared<BlockLog>();
  Padding options = paddings();
  options.clock = clock.now().clock;
  const auto graph = padded_sum(log, options);
  log->during = [&](const Shape& shape) { clock.advance(1us + 10us * shape[0] * shape[1]); };
  const Rows<Tensor> mixed{counting(3), counting(6), counting(2), counting(12)};
  for (int i = 0; i < 100; ++i) {
    log->shapes.clear();
    REQUIRE(graph.serve_rows(mixed).all_ok());
    REQUIRE(log->shapes == Shapes{{2, 4}, {1, 8}, {1, 16}});
  }
}
