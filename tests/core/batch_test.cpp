#include <galley/core/batch.hpp>

#include <support/allocations.hpp>
#include <support/rows.hpp>

#include <memory_resource>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::RowIndex;
using galley::Rows;
using support::AllocationCount;
using support::Counted;
using support::MoveOnly;
using support::Particle;

namespace {

std::vector<int> list(const Batch<int>& batch) {
  std::vector<int> all;
  for (std::size_t i = 0; i < batch.size(); ++i) all.push_back(batch[i]);
  return all;
}

std::vector<int> list(const Rows<int>& rows) {
  return {rows.begin(), rows.end()};
}

const Rows<int> tens{10, 11, 12, 13, 14, 15};

}  // namespace

TEST_CASE("a batch shows rows, an array or one row without copying", "[batch]") {
  const AllocationCount count;
  const Batch<int> whole(tens);
  CHECK(whole.size() == 6);
  CHECK(&whole[2] == &tens[2]);
  CHECK(whole.whole() == &tens);
  const int array[] = {1, 2, 3};
  const Batch<int> items{std::span<const int>(array)};
  CHECK(items.size() == 3);
  CHECK(&items[2] == &array[2]);
  CHECK(items.whole() == nullptr);
  const Batch<int> one = Batch<int>::one(array[1]);
  CHECK(one.size() == 1);
  CHECK(&one[0] == &array[1]);
  CHECK(one.peek(0) == &array[1]);
  CHECK(items.peek(2) == &array[2]);
  CHECK(whole.peek(2) == nullptr);
  CHECK(Batch<int>().empty());
  CHECK(Batch<int>(std::span<const int>()).to_rows().empty());
  CHECK(count.so_far() == 0);
}

TEST_CASE("a selection is a view, also of a slice and of a selection", "[batch]") {
  const AllocationCount count;
  const Batch<int> slice = Batch<int>(tens).slice(1, 4);
  CHECK_FALSE(slice.is_selection());
  CHECK(slice.whole() == nullptr);
  const RowIndex first[] = {4, 1, 1, 3};
  const Batch<int> selection = Batch<int>(tens).at_places(first);
  CHECK(selection.is_selection());
  CHECK(&selection[0] == &tens[4]);
  CHECK(&selection.slice(1, 2)[1] == &tens[1]);
  const RowIndex second[] = {static_cast<RowIndex>(selection.place(3)),
                             static_cast<RowIndex>(selection.place(0))};
  const Batch<int> again = selection.at_places(second);
  CHECK(&again[0] == &tens[3]);
  CHECK(&again[1] == &tens[4]);
  CHECK(count.so_far() == 0);
  CHECK(list(slice) == std::vector<int>{11, 12, 13, 14});
  CHECK(list(slice.slice(1, 2)) == std::vector<int>{12, 13});
  CHECK(list(selection) == std::vector<int>{14, 11, 11, 13});
}

TEST_CASE("a selection of places of a slice names the viewed rows", "[batch]") {
  const Batch<int> slice = Batch<int>(tens).slice(2, 3);
  const RowIndex places[] = {static_cast<RowIndex>(slice.place(2)),
                             static_cast<RowIndex>(slice.place(0))};
  CHECK(list(slice.at_places(places)) == std::vector<int>{14, 12});
}

TEST_CASE("the last use moves rows, every other use leaves them", "[batch]") {
  Rows<MoveOnly> rows;
  for (int i = 0; i < 4; ++i) rows.push_back(MoveOnly(i));
  const Batch<MoveOnly> last = Batch<MoveOnly>::last_use(rows);
  CHECK(last.is_last_use());
  CHECK_FALSE(last.borrowed().is_last_use());
  CHECK(last[1].get() == 1);
  CHECK(last.take(1).get() == 1);
  CHECK(rows[1].get() == -1);
  const Rows<MoveOnly> part = last.slice(2, 2).to_rows();
  CHECK(part[0].get() == 2);
  CHECK(rows[2].get() == -1);
  CHECK(rows[0].get() == 0);

  Rows<std::string> words{"first, long enough for the heap", "second, long enough for the heap"};
  const Batch<std::string> borrowed(words);
  CHECK(borrowed.take(0) == words[0]);
  CHECK(borrowed.to_rows() == words);
  CHECK(words[0] == "first, long enough for the heap");
}

TEST_CASE("a whole batch at its last use is handed over as it is", "[batch]") {
  Rows<Counted> rows;
  for (int i = 0; i < 3; ++i) rows.push_back(Counted(i));
  const Counted* at = rows.data();
  Counted::copies = 0;
  const Rows<Counted> taken = Batch<Counted>::last_use(rows).to_rows();
  CHECK(taken.data() == at);
  CHECK(Counted::copies == 0);
  CHECK(Batch<Counted>(taken).to_rows() == taken);
  CHECK(Counted::copies == 3);
}

TEST_CASE("a borrowed row is read without a copy", "[batch]") {
  const Counted row(7);
  Counted::copies = 0;
  const Batch<Counted> one = Batch<Counted>::one(row);
  CHECK(one[0].value == 7);
  CHECK(Counted::copies == 0);
  CHECK(one.take(0).value == 7);
  CHECK(Counted::copies == 1);
}

TEST_CASE("dense rows are made where they are asked for", "[batch]") {
  std::byte buffer[4096];
  std::pmr::monotonic_buffer_resource arena(buffer, sizeof buffer,
                                            std::pmr::null_memory_resource());
  const RowIndex places[] = {5, 0, 0};
  const int array[] = {1, 2, 3};
  const Batch<int> whole(tens);
  const AllocationCount count;
  const Rows<int> copy = whole.to_rows(&arena);
  const Rows<int> slice = whole.slice(1, 3).to_rows(&arena);
  const Rows<int> chosen = whole.at_places(places).to_rows(&arena);
  const Rows<int> items = Batch<int>(std::span<const int>(array)).to_rows(&arena);
  CHECK(count.so_far() == 0);
  CHECK(copy == tens);
  CHECK(list(slice) == std::vector<int>{11, 12, 13});
  CHECK(list(chosen) == std::vector<int>{15, 10, 10});
  CHECK(list(items) == std::vector<int>{1, 2, 3});
}

TEST_CASE("a dense copy of lent rows that asks for the heap is on the heap", "[batch]") {
  std::byte buffer[4096];
  std::pmr::monotonic_buffer_resource arena(buffer, sizeof buffer,
                                            std::pmr::null_memory_resource());
  const Rows<int> lent(tens.span(), &arena);
  const AllocationCount count;
  const Rows<int> copy = Batch<int>(lent).to_rows();
  CHECK(count.so_far() == 1);
  CHECK(copy == tens);
}

TEST_CASE("a batch of a user's own layout is viewed, sliced and selected", "[batch]") {
  Rows<Particle> rows;
  for (int i = 0; i < 5; ++i) rows.push_back({static_cast<float>(i), i});
  const RowIndex places[] = {4, 2};
  const Batch<Particle> batch(rows);
  CHECK(batch[3] == Particle{3, 3});
  CHECK(batch.take(1) == Particle{1, 1});
  CHECK(batch.whole() == &rows);
  const Rows<Particle> chosen = batch.at_places(places).to_rows();
  REQUIRE(chosen.size() == 2);
  CHECK(chosen[0] == Particle{4, 4});
  CHECK(chosen[1] == Particle{2, 2});
  CHECK(batch.slice(1, 2).to_rows()[1] == Particle{2, 2});
  const Particle one{9, 9};
  CHECK(Batch<Particle>::one(one).to_rows()[0] == one);
  CHECK(Batch<Particle>::last_use(rows).to_rows().size() == 5);
}

TEST_CASE("random views of views show the right rows", "[batch]") {
  const unsigned seed = 20;
  std::mt19937 random(seed);
  CAPTURE(seed);
  for (int round = 0; round < 500; ++round) {
    std::vector<int> expected(tens.begin(), tens.end());
    Batch<int> batch(tens);
    std::vector<std::vector<RowIndex>> kept;
    for (int step = 0; step < 4; ++step) {
      if (random() % 2 == 0) {
        const std::size_t first = random() % (batch.size() + 1);
        const std::size_t count = random() % (batch.size() - first + 1);
        batch = batch.slice(first, count);
        const auto at = expected.begin() + static_cast<std::ptrdiff_t>(first);
        expected = std::vector<int>(at, at + static_cast<std::ptrdiff_t>(count));
      } else {
        std::vector<RowIndex>& places = kept.emplace_back();
        std::vector<int> chosen;
        for (std::size_t n = random() % 5; batch.size() > 0 && n > 0; --n) {
          const std::size_t i = random() % batch.size();
          places.push_back(static_cast<RowIndex>(batch.place(i)));
          chosen.push_back(expected[i]);
        }
        batch = batch.at_places(places);
        expected = chosen;
      }
    }
    CAPTURE(round);
    REQUIRE(list(batch) == expected);
    REQUIRE(list(batch.to_rows()) == expected);
  }
}
