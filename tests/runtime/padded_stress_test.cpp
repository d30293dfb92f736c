// Many threads, rows of all lengths, padded before and behind a batcher: for TSan and ASan.
#include <galley/compose/batched.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/padded.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <support/padding.hpp>

#include <atomic>
#include <cstddef>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Outcomes;
using galley::padded;
using galley::Padding;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::Tensor;
using galley::ThreadPool;

namespace {

constexpr std::size_t longest = 40;
constexpr int requests = 300;

/// The sum of each row of a block.
Servable<Tensor, float> summing() {
  return {"sum", [](const Rows<Tensor>& rows) -> Result<Rows<float>> {
            if (rows.block() == nullptr) return galley::Error(Status::internal, "got ragged rows");
            Rows<float> out;
            for (std::size_t i = 0; i < rows.size(); ++i) {
              float sum = 0;
              for (const float number : support::numbers_of(rows[i])) sum += number;
              out.push_back(sum);
            }
            return out;
          }};
}

/// True when rows of these lengths, as `counting` makes them, are answered rightly.
bool is_right(const std::vector<std::size_t>& lengths, const Outcomes<float>& outcomes) {
  if (outcomes.size() != lengths.size()) return false;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const std::size_t n = lengths[i];
    if (n > longest) {
      if (outcomes[i].status() != Status::invalid_argument) return false;
    } else if (!outcomes[i].has_value() || *outcomes[i] != static_cast<float>(n * (n + 1) / 2)) {
      return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("threads that serve and submit rows of all lengths are answered rightly", "[padded]") {
  const int way = GENERATE(0, 1, 2, 3);
  CAPTURE(way);
  const ThreadPool pool({.workers = 2});
  Padding options;
  options.lengths = galley::geometric_lengths(4, longest);
  options.samples = {support::counting(2), support::counting(9), support::counting(33)};
  const auto graph = way == 0   ? padded(summing(), options)
                     : way == 1 ? padded(galley::on(pool, summing()), options)
                     : way == 2 ? padded(galley::batched(pool, summing()), options)
                                : galley::batched(pool, padded(summing(), options));
  REQUIRE(graph.prepare(pool).has_value());
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    clients.emplace_back([&graph, &right, seed] {
      std::mt19937 random(seed);
      for (int i = 0; i < requests; ++i) {
        std::vector<std::size_t> lengths(1 + random() % 5);
        Rows<Tensor> rows;
        for (std::size_t& length : lengths) {
          length = 1 + random() % (longest + 2);
          rows.push_back(support::counting(length));
        }
        if (random() % 2 == 0) {
          right += is_right(lengths, graph.serve_rows(rows)) ? 1 : 0;
          continue;
        }
        const std::size_t n = lengths.size();
        graph.submit_rows(std::move(rows), {},
                          galley::BatchCompletion<float>(
                              n, [&right, lengths = std::move(lengths)](Outcomes<float> outcomes) {
                                right += is_right(lengths, outcomes) ? 1 : 0;
                                right.notify_one();
                              }));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  for (int seen = right; seen < 4 * requests; seen = right) right.wait(seen);
  CHECK(right == 4 * requests);
}
