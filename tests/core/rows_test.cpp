#include <galley/core/rows.hpp>

#include <support/allocations.hpp>
#include <support/rows.hpp>

#include <cstdint>
#include <memory_resource>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::RowIndex;
using galley::Rows;
using support::AllocationCount;
using support::MoveOnly;
using support::Particle;
using support::Wide;

namespace {

/// A workspace that counts what is out.
class Lent : public std::pmr::memory_resource {
 public:
  int taken = 0;
  int out = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    ++taken;
    ++out;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* at, std::size_t bytes, std::size_t alignment) override {
    --out;
    std::pmr::new_delete_resource()->deallocate(at, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

/// A workspace in a buffer of its own: whatever it gives comes from no heap.
struct Arena {
  alignas(64) std::byte buffer[4096];
  std::pmr::monotonic_buffer_resource resource{buffer, sizeof buffer,
                                               std::pmr::null_memory_resource()};
};

template <class T>
std::vector<T> list(const Rows<T>& rows) {
  return std::vector<T>(rows.begin(), rows.end());
}

Rows<std::string> words() {
  return {"one, long enough for the heap", "two, long enough for the heap",
          "three, ditto, and more"};
}

}  // namespace

TEST_CASE("no rows are an empty batch that allocates nothing", "[rows]") {
  const AllocationCount count;
  Rows<std::string> none;
  CHECK(none.empty());
  CHECK(none.size() == 0);
  CHECK(none.begin() == none.end());
  Rows<std::string> moved = std::move(none);
  CHECK(moved.empty());
  CHECK(Rows<std::string>(moved).empty());
  CHECK(moved.select({}).empty());
  CHECK(moved.slice(0, 0).empty());
  CHECK(Rows<std::string>::concatenate({}).empty());
  CHECK(count.so_far() == 0);
}

TEST_CASE("one row is held inline and allocates nothing", "[rows]") {
  const AllocationCount count;
  Rows<int> one = Rows<int>::single(5);
  Rows<int> copy = one;
  Rows<int> moved = std::move(one);
  Rows<int> assigned;
  assigned = std::move(moved);
  CHECK(assigned.size() == 1);
  CHECK(assigned[0] == 5);
  CHECK(copy[0] == 5);
  CHECK(one.empty());
  CHECK(moved.empty());
  CHECK(count.so_far() == 0);
}

TEST_CASE("n rows allocate once when there is room for them", "[rows]") {
  const AllocationCount count;
  Rows<int> rows(100);
  for (int i = 0; i < 100; ++i) rows.push_back(i);
  Rows<int> moved = std::move(rows);
  CHECK(moved[99] == 99);
  CHECK(count.so_far() == 1);
}

TEST_CASE("rows grow one at a time without losing any", "[rows]") {
  Rows<std::string> rows;
  for (int i = 0; i < 100; ++i) rows.push_back("row number " + std::to_string(i) + " of many");
  REQUIRE(rows.size() == 100);
  for (std::size_t i = 0; i < 100; ++i) {
    CHECK(rows[i] == "row number " + std::to_string(i) + " of many");
  }
}

TEST_CASE("a row of the same batch can be pushed again", "[rows]") {
  Rows<std::string> rows = Rows<std::string>::single("long enough to live on the heap");
  rows.push_back(rows[0]);
  rows.push_back(rows[1]);
  CHECK(list(rows) == std::vector<std::string>(3, "long enough to live on the heap"));
}

TEST_CASE("copies of rows are independent", "[rows]") {
  Rows<std::string> rows = words();
  const Rows<std::string> copy = rows;
  CHECK(copy == rows);
  rows[1] = "changed";
  CHECK_FALSE(copy == rows);
  rows = copy;
  CHECK(copy == rows);
}

TEST_CASE("moving a batch onto itself changes nothing", "[rows]") {
  for (const Rows<std::string>& wanted : {words(), Rows<std::string>::single("one")}) {
    Rows<std::string> rows = wanted;
    Rows<std::string>& same = rows;
    rows = std::move(same);
    CHECK(rows == wanted);
    rows = static_cast<const Rows<std::string>&>(same);
    CHECK(rows == wanted);
  }
}

TEST_CASE("rows that were moved away can be filled again", "[rows]") {
  Rows<std::string> rows = words();
  const Rows<std::string> taken = std::move(rows);
  CHECK(rows.empty());
  rows.push_back("a");
  rows.push_back("b");
  CHECK(list(rows) == std::vector<std::string>{"a", "b"});
  CHECK(taken == words());
}

TEST_CASE("select gives the named rows in the named order, repeats included", "[rows]") {
  const Rows<int> rows{10, 11, 12, 13};
  const std::vector<RowIndex> indices{3, 0, 3, 3, 1};
  CHECK(list(rows.select(indices)) == std::vector<int>{13, 10, 13, 13, 11});
  CHECK(rows.select({}).empty());
}

TEST_CASE("select moves rows out of a batch at its last use", "[rows]") {
  Rows<MoveOnly> rows;
  for (int i = 0; i < 4; ++i) rows.push_back(MoveOnly(i));
  const std::vector<RowIndex> indices{2, 0};
  const Rows<MoveOnly> chosen = std::move(rows).select(indices);
  REQUIRE(chosen.size() == 2);
  CHECK(chosen[0].get() == 2);
  CHECK(chosen[1].get() == 0);
}

TEST_CASE("slice gives a run of rows", "[rows]") {
  const Rows<int> rows{10, 11, 12, 13};
  CHECK(list(rows.slice(1, 2)) == std::vector<int>{11, 12});
  CHECK(list(rows.slice(0, 4)) == std::vector<int>{10, 11, 12, 13});
  CHECK(rows.slice(4, 0).empty());
}

TEST_CASE("concatenate gives all rows of the parts in order", "[rows]") {
  std::vector<Rows<MoveOnly>> parts(4);
  int next = 0;
  for (std::size_t size : {2u, 0u, 1u, 3u}) {
    Rows<MoveOnly>& part = parts[size == 2 ? 0 : size == 0 ? 1 : size == 1 ? 2 : 3];
    for (std::size_t i = 0; i < size; ++i) part.push_back(MoveOnly(next++));
  }
  const AllocationCount count;
  const Rows<MoveOnly> all = Rows<MoveOnly>::concatenate(parts);
  CHECK(count.so_far() == 1);
  REQUIRE(all.size() == 6);
  for (int i = 0; i < 6; ++i) CHECK(all[static_cast<std::size_t>(i)].get() == i);
}

TEST_CASE("over-aligned rows are aligned, inline and on the heap", "[rows]") {
  const auto is_aligned = [](const Wide& row) {
    return reinterpret_cast<std::uintptr_t>(&row) % alignof(Wide) == 0;
  };
  Rows<Wide> rows = Rows<Wide>::single({1});
  CHECK(is_aligned(rows[0]));
  for (int i = 2; i <= 9; ++i) rows.push_back({i});
  for (std::size_t i = 0; i < 9; ++i) {
    CHECK(is_aligned(rows[i]));
    CHECK(rows[i].value == static_cast<int>(i) + 1);
  }
  Arena arena;
  Rows<Wide> lent(3, &arena.resource);
  lent.push_back({1});
  CHECK(is_aligned(lent[0]));
}

TEST_CASE("rows in a lent workspace take nothing from the heap", "[rows]") {
  Arena arena;
  const std::vector<int> values{1, 2, 3, 4};
  const std::vector<RowIndex> indices{3, 1};
  const AllocationCount count;
  Rows<int> rows(std::span<const int>(values), &arena.resource);
  Rows<int> moved = std::move(rows);
  const Rows<int> chosen = moved.select(indices, &arena.resource);
  const Rows<int> part = moved.slice(1, 3, &arena.resource);
  Rows<int> parts[] = {std::move(moved)};
  const Rows<int> all = Rows<int>::concatenate(parts, &arena.resource);
  CHECK(count.so_far() == 0);
  CHECK(list(chosen) == std::vector<int>{4, 2});
  CHECK(list(part) == std::vector<int>{2, 3, 4});
  CHECK(list(all) == values);
}

TEST_CASE("rows give lent memory back to where it came from", "[rows]") {
  Lent first, second;
  {
    Rows<std::string> a(3, &first);
    for (const std::string& word : words()) a.push_back(word);
    Rows<std::string> b(3, &second);
    b.push_back("kept for a moment");
    b = std::move(a);
    CHECK(second.out == 0);
    CHECK(first.out == 1);
    CHECK(b == words());
    a.push_back("again");
    a.push_back("and again");
  }
  CHECK(first.out == 0);
  CHECK(second.out == 0);
}

TEST_CASE("a copy of lent rows is on the heap, so that it may outlive the lending", "[rows]") {
  Lent lent;
  Rows<std::string> copy;
  {
    Rows<std::string> rows(3, &lent);
    for (const std::string& word : words()) rows.push_back(word);
    const int before = lent.taken;
    copy = rows;
    CHECK(lent.taken == before);
  }
  CHECK(lent.out == 0);
  CHECK(copy == words());
}

TEST_CASE("owned rows leave lent memory behind and others alone", "[rows]") {
  Lent lent;
  Rows<std::string> rows(3, &lent);
  for (const std::string& word : words()) rows.push_back(word);
  Rows<std::string> owned = std::move(rows).owned();
  CHECK(lent.out == 0);
  CHECK(owned == words());
  const AllocationCount count;
  owned = std::move(owned).owned();
  CHECK(count.so_far() == 0);
  CHECK(owned == words());
}

static_assert(galley::Row<int>);
static_assert(galley::Row<std::string>);
static_assert(galley::Row<MoveOnly>);
static_assert(galley::Row<Wide>);
static_assert(galley::Row<Particle>);
static_assert(!galley::Row<const int>);
static_assert(!galley::Row<int&>);
static_assert(!std::is_copy_constructible_v<Rows<MoveOnly>>);
static_assert(std::is_nothrow_move_constructible_v<Rows<std::string>>);
