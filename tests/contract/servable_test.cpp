// The servables' contract suite: on graphs that keep it and on servables that break it.
#include <galley/compose/batched.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/padded.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/slot.hpp>
#include <galley/policy/batch/preferred_sizes.hpp>
#include <galley/policy/batch/size_or_delay.hpp>
#include <galley/testing/contracts/servable.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/padding.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::check_servable;
using galley::Completion;
using galley::ContractFailure;
using galley::Error;
using galley::ManualExecutor;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;

namespace {

std::string all(const std::vector<ContractFailure>& failures) {
  std::string text;
  for (const ContractFailure& failure : failures) text += to_string(failure) + "\n";
  return text;
}

const std::vector<int> samples{1, 2, 3, 4, 5};

Servable<int, int> refuses_three() {
  return galley::map("plus", [](int n) -> Result<int> {
    if (n == 3) return Error(Status::invalid_argument, "3");
    return n + 1;
  });
}

}  // namespace

TEST_CASE("graphs keep the contract, inline and asynchronous", "[contract]") {
  const ManualExecutor executor;
  const auto plus = refuses_three();
  const auto later = Servable("later", [](int n, Completion<int> done) { done(n * 2); });
  for (const auto& graph :
       {plus, plus | plus, galley::on(executor, plus), later | galley::on(executor, plus) | later,
        galley::slot("slot", galley::on(executor, plus)).servable, galley::in_order(plus),
        galley::in_order(later | galley::on(executor, galley::in_order(plus)))}) {
    CAPTURE(graph.name());
    CHECK(all(check_servable<int, int>(graph, samples, {}, [&] { executor.run_ready(); })) == "");
  }
  const std::vector<support::Particle> particles{{1, 1}, {2, 2}};
  const auto move = galley::map("move", [](const support::Particle& p) { return p.x + 1; });
  CHECK(all(check_servable<support::Particle, float>(move, particles)) == "");
}

TEST_CASE("batched graphs keep the contract, whatever the policy", "[contract]") {
  using namespace std::chrono_literals;
  const ManualExecutor executor;
  const auto plus = refuses_three();
  const auto later = Servable("later", [](int n, Completion<int> done) { done(n * 2); });
  const galley::BatchOptions two{.max_rows = 2, .caller_runs = galley::CallerRuns::never};
  const auto drive = [&] { executor.run_all(); };
  for (const auto& child :
       {plus, later | plus, galley::on(executor, plus), galley::slot("slot", plus).servable}) {
    for (const auto& options : {galley::BatchOptions(), two}) {
      for (const auto& graph :
           {galley::batched(executor, child, options),
            galley::batched(executor, child, options, galley::LearnedCap{.max_yields = 0}),
            galley::batched(executor, child, options, galley::SizeOrDelay{3, 1ms}),
            galley::batched(executor, child, options, galley::PreferredSizes{{2, 4}, 1ms}),
            galley::in_order(galley::batched(executor, child, options)),
            later | galley::batched(executor, child, options) | later}) {
        CAPTURE(graph.name(), options.max_rows);
        CHECK(all(check_servable<int, int>(graph, samples, {}, drive)) == "");
      }
    }
  }
  const std::vector<support::Particle> particles{{1, 1}, {2, 2}};
  const auto move = galley::map("move", [](const support::Particle& p) { return p.x + 1; });
  CHECK(all(check_servable<support::Particle, float>(galley::batched(executor, move), particles, {},
                                                     drive)) == "");
}

TEST_CASE("padded graphs keep the contract, before and behind a batcher", "[contract]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<support::BlockLog>();
  const auto model = support::summing(log);
  const std::vector<galley::Tensor> rows{support::counting(3),      support::counting(8),
                                         support::row_of({-1, -2}), support::counting(20),
                                         support::counting(5),      support::counting(16)};
  const auto drive = [&] { executor.run_all(); };
  const galley::Padding options = support::paddings();
  for (const auto& graph :
       {galley::padded(model, options), galley::padded(galley::on(executor, model), options),
        galley::padded(galley::batched(executor, model), options),
        galley::batched(executor, galley::padded(model, options))}) {
    CAPTURE(graph.name());
    REQUIRE(graph.prepare().has_value());
    CHECK(all(check_servable<galley::Tensor, float>(graph, rows, {}, drive)) == "");
  }
  galley::Padding cut = options;
  cut.output_axis = 0;
  const auto doubling = galley::padded(support::doubling(log), cut);
  REQUIRE(doubling.prepare().has_value());
  CHECK(all(check_servable<galley::Tensor, galley::Tensor>(doubling, rows)) == "");
}

TEST_CASE("a servable whose rows depend on each other is found out", "[contract]") {
  const auto mean = galley::map_batch("mean", [](const Rows<int>& rows) {
    int sum = 0;
    for (int n : rows) sum += n;
    Rows<int> out;
    for (std::size_t i = 0; i < rows.size(); ++i)
      out.push_back(rows[i] - sum / static_cast<int>(rows.size()));
    return out;
  });
  CHECK(all(check_servable<int, int>(mean, samples)).find("a row answers in a batch as alone") !=
        std::string::npos);
}

TEST_CASE("a servable that remembers is found out", "[contract]") {
  const auto count = std::make_shared<int>(0);
  const auto counts = galley::map("counts", [count](int n) { return n + ++*count; });
  CHECK(all(check_servable<int, int>(counts, samples)).find("equal rows give equal answers") !=
        std::string::npos);
}

TEST_CASE("a composition that cannot be is found out", "[contract]") {
  const auto broken = Servable<int, int>::broken("bad", Error(Status::not_found, "no file"));
  CHECK(all(check_servable<int, int>(broken, samples)).find("check() is ok") != std::string::npos);
}

TEST_CASE("values may agree within a tolerance", "[contract]") {
  const auto noisy = galley::map_batch("noisy", [](const Rows<int>& rows) {
    Rows<double> out;
    for (int n : rows) out.push_back(n + 1e-9 * static_cast<double>(rows.size()));
    return out;
  });
  CHECK_FALSE(check_servable<int, double>(noisy, samples).empty());
  const auto close = [](double a, double b) { return a - b < 1e-6 && b - a < 1e-6; };
  CHECK(all(check_servable<int, double>(noisy, samples, close)) == "");
}
