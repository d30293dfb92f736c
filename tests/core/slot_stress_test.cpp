// Many readers, a publisher that never rests: for TSan.
#include <galley/compose/map.hpp>
#include <galley/core/slot.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchContext;
using galley::Context;
using galley::EpochDomain;
using galley::Event;
using galley::Instant;
using galley::Outcomes;
using galley::Pins;
using galley::Rows;
using galley::Servable;
using galley::WaitEnd;
using galley::Worker;

namespace {

/// A version that answers its number, and says so when it is used after its end.
struct Model {
  explicit Model(int of) : number(of) {}
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ~Model() { number = -1; }
  int number;
};

Servable<int, int> model(int number) {
  return galley::map_batch("model",
                           [m = std::make_shared<const Model>(number)](const Rows<int>& rows) {
                             Rows<int> out;
                             for (int n : rows) out.push_back(m->number + n);
                             return out;
                           });
}

/// True when all rows came from one living version.
bool is_sound(const Outcomes<int>& outcomes) {
  const int first = *outcomes[0];
  return first >= 0 && *outcomes[1] == first + 1 && *outcomes[2] == first + 2;
}

WaitEnd no_help(Worker&, Event&, const Instant&) {
  return WaitEnd::stuck;
}

constexpr int publishes = 3000;

}  // namespace

TEST_CASE("readers always see one living version while versions come and go", "[slot][soak]") {
  const auto [servable, publisher] = galley::slot("model", model(0), {.keep = 1});
  const auto epochs = std::make_shared<EpochDomain>(4);
  std::atomic<bool> go_on{true};
  std::atomic<int> unsound{0};
  std::atomic<std::uint64_t> served{0};
  const Rows<int> rows{0, 1, 2};

  const auto counted_reader = [&, s = servable] {
    while (go_on) {
      if (!is_sound(s.serve_rows(rows))) ++unsound;
      ++served;
    }
  };
  const auto pinning_reader = [&, s = servable] {
    const Context context;
    while (go_on) {
      auto pins = std::make_shared<Pins>();
      s.node().table->pin(s.node(), *pins);
      const std::shared_ptr<const Pins> shared = std::move(pins);
      const BatchContext bound = BatchContext(context, 3).pinned(shared);
      const Outcomes<int> once = s.serve_batch(Batch<int>(rows), bound);
      const Outcomes<int> again = s.serve_batch(Batch<int>(rows), bound);
      if (!is_sound(once) || *once[0] != *again[0]) ++unsound;
      ++served;
    }
  };
  const auto worker_reader = [&, s = servable](std::size_t index) {
    Worker worker(epochs.get(), epochs, index, no_help);
    const Worker::Scope scope(worker);
    for (int task = 0; go_on; ++task) {
      if (task % 16 == 0) epochs->enter(index);  // comes out of parking
      if (!is_sound(s.serve_rows(rows))) ++unsound;
      ++served;
      task % 16 == 15 ? epochs->leave(index) : epochs->quiescent(index);
    }
    epochs->leave(index);
  };

  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) readers.emplace_back(counted_reader);
  for (int i = 0; i < 2; ++i) readers.emplace_back(pinning_reader);
  for (std::size_t i = 0; i < 4; ++i) readers.emplace_back(worker_reader, i);
  while (served < 8) std::this_thread::yield();
  for (int i = 1; i <= publishes; ++i) {
    REQUIRE(publisher.publish(model(i * 10)).has_value());
    if (i % 7 == 0) REQUIRE(publisher.rollback().has_value());
  }
  go_on = false;
  for (std::thread& reader : readers) reader.join();
  CHECK(unsound == 0);
  CHECK(publisher.status().retired == 0);
  CHECK(servable.serve(0).has_value());
}
