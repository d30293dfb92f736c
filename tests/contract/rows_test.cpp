// The batch types' contract suite: on ours, on a user's, and on ones that break it.
#include <galley/testing/contracts/rows.hpp>

#include <support/rows.hpp>

#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::check_rows;
using galley::ContractFailure;
using galley::RowIndex;
using galley::Rows;
using galley::Workspace;

namespace {

std::string all(const std::vector<ContractFailure>& failures) {
  std::string text;
  for (const ContractFailure& failure : failures) text += to_string(failure) + "\n";
  return text;
}

/// A row whose batches go wrong in one way.
template <int way>
struct Wrong {
  int value = 0;
  friend bool operator==(const Wrong&, const Wrong&) = default;
};

}  // namespace

template <int way>
class galley::Rows<Wrong<way>> {
 public:
  using value_type = Wrong<way>;
  static Rows single(value_type row) {
    Rows rows;
    rows.push_back(row);
    return rows;
  }
  std::size_t size() const noexcept { return list_.size(); }
  bool empty() const noexcept { return list_.empty(); }
  const value_type& operator[](std::size_t i) const { return list_[i]; }
  void reserve(std::size_t n) { list_.reserve(n); }
  void push_back(value_type row) {
    if (way == 1 && list_.size() == 2) list_.clear();
    list_.push_back(row);
  }
  Rows select(std::span<const RowIndex> indices, Workspace*) const {
    Rows chosen;
    for (RowIndex i : indices) chosen.list_.push_back(list_[i]);
    if (way == 2 && chosen.size() > 1) std::swap(chosen.list_[0], chosen.list_[1]);
    return chosen;
  }
  static Rows concatenate(std::span<Rows> parts, Workspace*) {
    Rows every;
    for (const Rows& part : parts) {
      const std::size_t n = way == 3 && part.size() == 1 ? 0 : part.size();
      for (std::size_t i = 0; i < n; ++i) every.list_.push_back(part.list_[i]);
    }
    return every;
  }

 private:
  std::vector<value_type> list_;
};

namespace {

template <int way>
std::vector<ContractFailure> wrong() {
  const std::vector<Wrong<way>> samples{{1}, {2}, {3}, {4}};
  return check_rows<Wrong<way>>(samples);
}

}  // namespace

TEST_CASE("the batches that galley makes of any type keep the contract", "[contract]") {
  const std::vector<int> numbers{1, 2, 3, 4};
  CHECK(all(check_rows<int>(numbers)) == "");
  const std::vector<std::string> words{"one", "two, long enough for the heap", "three", "four"};
  CHECK(all(check_rows<std::string>(words)) == "");
  const std::vector<support::Wide> wide{{1}, {2}, {3}};
  CHECK(all(check_rows<support::Wide>(wide)) == "");
}

TEST_CASE("a user's struct of arrays keeps the contract", "[contract]") {
  const std::vector<support::Particle> particles{{1, 1}, {2, 2}, {3, 3}, {4, 4}};
  CHECK(all(check_rows<support::Particle>(particles)) == "");
}

TEST_CASE("batches that go wrong are found out", "[contract]") {
  CHECK(all(wrong<0>()) == "");
  CHECK(all(wrong<1>()).find("1, 2: push_back builds a batch") != std::string::npos);
  CHECK(all(wrong<2>()).find("3: select gives the named rows") != std::string::npos);
  CHECK(all(wrong<3>()).find("5: concatenate gives all rows") != std::string::npos);
  const std::vector<int> few{1};
  CHECK_FALSE(check_rows<int>(few).empty());
}
