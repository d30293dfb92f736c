// Batching: many callers, one model, nothing to tune.
//
// The model here is a function that takes 200 us for a batch and 5 us more for each of its rows: as
// with most models, sixteen rows together cost little more than one.
#include <galley/compose/batched.hpp>
#include <galley/core/future.hpp>
#include <galley/galley.hpp>

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

galley::Rows<float> slow_square(const galley::Rows<float>& rows) {
  const auto end =
      std::chrono::steady_clock::now() + 200us + 5us * static_cast<long long>(rows.size());
  galley::Rows<float> answers(rows.size());
  for (const float x : rows) {
    if (x == 13) throw std::runtime_error("unlucky");
    answers.push_back(x * x);
  }
  while (std::chrono::steady_clock::now() < end) {
  }
  return answers;
}

/// 8 threads that ask 100 times each; how long they take together.
double seconds(const galley::Servable<float, float>& model) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&model, caller] {
      for (int i = 0; i < 100; ++i) {
        const auto x = static_cast<float>(caller);
        if (model.serve(x) != galley::Result<float>(x * x)) std::printf("wrong\n");
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main() {
  const galley::ThreadPool pool({.workers = 1});
  const auto square = galley::map_batch("square", slow_square);
  const auto alone = galley::on(pool, square);        // a request at a time
  const auto merged = galley::batched(pool, square);  // as many as are there

  std::printf("a lone caller gets %g\n", *merged.serve(3));
  const double one_by_one = seconds(alone);
  const double together = seconds(merged);
  std::printf("8 callers: %s\n", together < 0.7 * one_by_one ? "faster together" : "not faster");

  // Rows of one request and of many share batches; a bad row fails alone.
  const galley::Outcomes<float> many = merged.serve_rows(galley::Rows<float>{12, 13, 14});
  std::printf("%g, %s, %g\n", *many[0], galley::to_string(many[1].error()).c_str(), *many[2]);

  // What cannot be in time is refused before it is computed.
  const auto late = merged.serve(2, {.deadline = pool.now()});
  std::printf("%s\n", std::string(to_string(late.status())).c_str());

  galley::BatchStatistics statistics;
  if (!merged.control("", statistics).has_value()) return 1;
  std::printf("mean batch above 2: %s\n", statistics.rows > 2 * statistics.batches ? "yes" : "no");
  return 0;
}

// prints:
// a lone caller gets 9
// 8 callers: faster together
// 144, internal: square: threw: unlucky, 196
// deadline_exceeded
// mean batch above 2: yes
