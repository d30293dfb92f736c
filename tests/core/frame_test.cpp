#include <galley/core/frame.hpp>

#include <support/allocations.hpp>
#include <support/rows.hpp>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchContext;
using galley::Context;
using galley::Frame;
using galley::FramePool;
using galley::FrameRef;
using support::AllocationCount;
using support::Wide;

TEST_CASE("a pool lends no more frames than its bound", "[frame]") {
  FramePool pool(64, 2);
  CHECK(pool.bytes() == 64);
  CHECK(pool.bound() == 2);
  FrameRef a = pool.take();
  const FrameRef b = pool.take();
  CHECK(static_cast<bool>(a));
  CHECK(static_cast<bool>(b));
  CHECK_FALSE(static_cast<bool>(pool.take()));
  const Frame* first = a.get();
  a = FrameRef();
  const FrameRef again = pool.take();
  CHECK(again.get() == first);
  CHECK_FALSE(static_cast<bool>(pool.take()));
}

TEST_CASE("a frame that was given back is reused without allocating", "[frame]") {
  FramePool pool(64);
  { const FrameRef warm = pool.take(); }
  const AllocationCount count;
  for (int i = 0; i < 10; ++i) {
    const FrameRef frame = pool.take();
    int& first = frame->make<int>(i);
    CHECK(first == i);
  }
  CHECK(count.so_far() == 0);
}

TEST_CASE("states made in a frame do not overlap and are aligned", "[frame]") {
  FramePool pool(3 * Frame::bytes_for<Wide>() + 2 * Frame::bytes_for<char>());
  for (int round = 0; round < 4; ++round) {
    const FrameRef frame = pool.take();
    char& a = frame->make<char>('a');
    Wide& b = frame->make<Wide>(Wide{1});
    char& c = frame->make<char>('c');
    Wide& d = frame->make<Wide>(Wide{2});
    Wide& e = frame->make<Wide>(Wide{3});
    for (const Wide* wide : {&b, &d, &e}) {
      CHECK(reinterpret_cast<std::uintptr_t>(wide) % alignof(Wide) == 0);
    }
    CHECK(a == 'a');
    CHECK(b.value == 1);
    CHECK(c == 'c');
    CHECK(d.value == 2);
    CHECK(e.value == 3);
  }
}

TEST_CASE("the last reference gives the frame back and lets go of what it kept", "[frame]") {
  FramePool pool(16, 1);
  const auto graph = std::make_shared<int>(0);
  const Context context{.request_id = 3};
  {
    FrameRef first = pool.take();
    const FrameRef second(*first);
    first->graph = graph;
    first->context.assign(BatchContext(context, 1));
    CHECK(first->context.view().context().request_id == 3);
    first = FrameRef();
    CHECK(graph.use_count() == 2);
    CHECK_FALSE(static_cast<bool>(pool.take()));
  }
  CHECK(graph.use_count() == 1);
  CHECK(static_cast<bool>(pool.take()));
}

TEST_CASE("the graph a frame keeps may own the frame's pool", "[frame]") {
  auto pool = std::make_shared<FramePool>(16, 1);
  FrameRef frame = pool->take();
  frame->graph = pool;
  const std::weak_ptr<FramePool> watched = pool;
  pool.reset();
  CHECK_FALSE(watched.expired());
  frame = FrameRef();
  CHECK(watched.expired());
}

TEST_CASE("references move", "[frame]") {
  FramePool pool(16, 1);
  FrameRef a = pool.take();
  FrameRef b = std::move(a);
  CHECK_FALSE(static_cast<bool>(a));
  FrameRef& same = b;
  b = std::move(same);
  CHECK(static_cast<bool>(b));
  b = FrameRef();
  CHECK(static_cast<bool>(pool.take()));
}
