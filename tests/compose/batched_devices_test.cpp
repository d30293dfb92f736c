// Tensors that are not in host memory: batched, and never read.
#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor_rows.hpp>

#include <support/batching.hpp>
#include <support/has.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::BatchOptions;
using galley::CallerRuns;
using galley::Device;
using galley::ManualExecutor;
using galley::NamedTensors;
using galley::Owner;
using galley::Rows;
using galley::Servable;
using galley::Shape;
using galley::SizeOrDelay;
using galley::Status;
using galley::Tensor;
using support::always_queued;
using support::BatchEar;
using support::has;

using namespace std::chrono_literals;

using Sizes = std::vector<std::size_t>;

namespace {

constexpr Device abacus("abacus", 0);

/// Where the made-up devices keep their memory: pages that no program may touch.
void* place(std::size_t i) {
  return reinterpret_cast<void*>((i + 1) * 64);
}

/// A tensor at `at` of a device; borrowed where nobody owns it.
Tensor elsewhere(void* at, const Shape& shape, const Owner& owner, const Device& device = abacus) {
  return *Tensor::adopt(at, galley::f32, shape, {}, device, owner);
}

/// The batches that a child was given.
struct Seen {
  Sizes sizes;
  std::vector<bool> dense;
  std::vector<Device> devices;
};

/// The address of each row, by which a backend would compute.
Servable<Tensor, const void*> addresses(Seen& seen) {
  return {"addresses", [&seen](const Rows<Tensor>& rows) {
            seen.sizes.push_back(rows.size());
            seen.dense.push_back(rows.block() != nullptr);
            seen.devices.push_back(rows[0].device());
            Rows<const void*> out(rows.size());
            for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(rows[i].data());
            return out;
          }};
}

}  // namespace

TEST_CASE("tensors of one device share a batch and stay where they are", "[batched]") {
  const ManualExecutor executor;
  Seen seen;
  const auto kept = std::make_shared<int>(0);
  {
    const Owner owner = Owner::of(kept);
    const auto graph = batched(executor, addresses(seen), always_queued);
    std::vector<BatchEar<const void*>> ears(3);
    graph.submit(elsewhere(place(0), {2}, owner), {}, ears[0].listen());
    Rows<Tensor> two{elsewhere(place(1), {2}, owner), elsewhere(place(2), {2}, owner)};
    graph.submit_rows(std::move(two), {}, ears[1].listen(2));
    const Tensor block = elsewhere(place(3), {2, 2}, owner);
    graph.submit_rows(*Rows<Tensor>::of_block(block), {}, ears[2].listen(2));
    executor.run_ready();
    CHECK(ears[0].value() == place(0));
    CHECK(ears[1].value(0) == place(1));
    CHECK(ears[1].value(1) == place(2));
    CHECK(ears[2].value(0) == block.row(0).data());
    CHECK(ears[2].value(1) == block.row(1).data());
    CHECK(seen.sizes == Sizes{5});
    CHECK(seen.dense == std::vector<bool>{false});
  }
  CHECK(kept.use_count() == 1);
}

TEST_CASE("tensors of different devices share no batch, nor with those of the host", "[batched]") {
  const ManualExecutor executor;
  Seen seen;
  const Owner owner = Owner::of(std::make_shared<int>(0));
  const auto graph = batched(executor, addresses(seen), always_queued);
  const std::vector<Device> devices{abacus, galley::cpu, Device("abacus", 1), Device("abacus"),
                                    Device("slide")};
  std::vector<BatchEar<const void*>> ears(2 * devices.size());
  for (std::size_t i = 0; i < ears.size(); ++i) {
    const Device& device = devices[i % devices.size()];
    graph.submit(device.is_cpu() ? *Tensor::zeros(galley::f32, {2})
                                 : elsewhere(place(i), {2}, owner, device),
                 {}, ears[i].listen());
  }
  executor.run_ready();
  for (std::size_t i = 0; i < ears.size(); ++i) {
    CAPTURE(i);
    if (!devices[i % devices.size()].is_cpu()) CHECK(ears[i].value() == place(i));
  }
  CHECK(seen.sizes == Sizes(devices.size(), 2));
  CHECK(seen.dense == std::vector<bool>{false, true, false, false, false});
  CHECK(seen.devices == devices);
}

TEST_CASE("memory of a device that is only borrowed is refused where rows have to wait",
          "[batched]") {
  const ManualExecutor executor;
  Seen seen;
  const Tensor lent = elsewhere(place(7), {2}, Owner());
  const auto graph = batched(executor, addresses(seen), {});
  CHECK(*graph.serve(lent) == place(7));  // borrowed until it returns
  BatchEar<const void*> ear, beside;
  graph.submit(elsewhere(place(8), {2}, Owner::of(std::make_shared<int>(0))), {}, beside.listen());
  graph.submit(lent, {}, ear.listen());
  CHECK(ear.status() == Status::invalid_argument);
  has(ear.heard[0].error().detail, "float32 [2] on abacus:0");
  const auto queued = graph.serve(lent);  // behind the other
  CHECK(queued.status() == Status::invalid_argument);
  executor.run_ready();
  CHECK(beside.value() == place(8));
}

TEST_CASE("requests of a device are split and filled up without a look at them", "[batched]") {
  const ManualExecutor executor;
  Seen seen;
  const Owner owner = Owner::of(std::make_shared<int>(0));
  BatchOptions options = always_queued;
  options.max_rows = 4;
  options.sizes = {4};
  const auto graph = batched(executor, addresses(seen), options);
  const Tensor block = elsewhere(place(0), {6, 3}, owner);
  BatchEar<const void*> ear;
  graph.submit_rows(*Rows<Tensor>::of_block(block), {}, ear.listen(6));
  executor.run_ready();
  for (std::size_t i = 0; i < 6; ++i) CHECK(ear.value(i) == block.row(i).data());
  CHECK(seen.sizes == Sizes{4, 4});
  options.caller_runs = CallerRuns::when_idle;
  options.sizes = {1, 4};
  const auto called = batched(executor, addresses(seen), options);
  const auto outcomes = called.serve_rows(*Rows<Tensor>::of_block(block));
  for (std::size_t i = 0; i < 6; ++i) CHECK(*outcomes[i] == block.row(i).data());
}

TEST_CASE("answers on a device are handed out as they are, however many are kept", "[batched]") {
  const ManualExecutor executor;
  const Owner owner = Owner::of(std::make_shared<int>(0));
  std::size_t batches = 0;
  const auto graph = batched(
      executor,
      galley::map_batch("block",
                        [&](const Rows<Tensor>& rows) {
                          return *Rows<Tensor>::of_block(elsewhere(
                              place(100 * batches++), {static_cast<std::int64_t>(rows.size()), 16},
                              Owner::of(std::make_shared<int>(1))));
                        }),
      always_queued, SizeOrDelay{2, 0ns});
  std::vector<Tensor> kept;
  for (std::size_t batch = 0; batch < 40;
       ++batch) {  // more blocks than may be shared in host memory
    std::vector<BatchEar<Tensor>> ears(2);
    for (BatchEar<Tensor>& ear : ears) {
      graph.submit(elsewhere(place(1), {2}, owner), {}, ear.listen());
    }
    executor.run_ready();
    kept.push_back(ears[1].value());
    CHECK(kept.back().data() == place(100 * batch + 1));
    CHECK(kept.back().device() == abacus);
  }
}

TEST_CASE("of named tensors the columns on a device stay there, those of the host are gathered",
          "[batched]") {
  const ManualExecutor executor;
  const Owner owner = Owner::of(std::make_shared<int>(0));
  Sizes sizes;
  std::vector<bool> dense;
  const auto graph =
      batched(executor,
              galley::map_batch(
                  "both",
                  [&](const Rows<NamedTensors>& rows) {
                    sizes.push_back(rows.size());
                    for (const auto& column : rows.columns()) {
                      dense.push_back(column.rows.block() != nullptr);
                    }
                    Rows<std::pair<const void*, float>> out;
                    for (std::size_t i = 0; i < rows.size(); ++i) {
                      const NamedTensors row = rows[i];
                      out.push_back({row.find("far")->data(), *row.find("near")->data<float>()});
                    }
                    return out;
                  }),
              always_queued);
  std::vector<BatchEar<std::pair<const void*, float>>> ears(3);
  for (std::size_t i = 0; i < 3; ++i) {
    const Device device = i == 2 ? Device("slide", 0) : abacus;
    graph.submit(NamedTensors{{"far", elsewhere(place(i), {2}, owner, device)},
                              {"near", *Tensor::copy_of({static_cast<float>(i)}, {1})}},
                 {}, ears[i].listen());
  }
  executor.run_ready();
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(ears[i].value() == std::pair<const void*, float>(place(i), static_cast<float>(i)));
  }
  CHECK(sizes == Sizes{2, 1});
  CHECK(dense == std::vector<bool>{false, true, false, false});
}
