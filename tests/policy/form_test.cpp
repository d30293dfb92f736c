// Which form of a model runs a batch.
#include <galley/policy/form.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <utility>

#include <support/catch.hpp>

using galley::CostTable;
using galley::fastest_form;
using namespace std::chrono_literals;

namespace {

CostTable costs(std::initializer_list<std::pair<std::size_t, galley::Duration>> seen) {
  CostTable table;
  for (const auto& [rows, took] : seen) table.observe(rows, took);
  return table;
}

}  // namespace

TEST_CASE("the fastest form for a size is chosen, on lines between the sizes measured", "[form]") {
  const std::array forms{costs({{1, 100us}, {64, 6400us}}), costs({{1, 200us}, {64, 1460us}}),
                         costs({{1, 90us}, {64, 9000us}})};
  CHECK(fastest_form(forms, 1) == 2);
  CHECK(fastest_form(forms, 2) == 0);  // 200, 220, 231 us
  CHECK(fastest_form(forms, 3) == 1);
  CHECK(fastest_form(forms, 64) == 1);
  CHECK(fastest_form(forms, 1000) == 1);
}

TEST_CASE("the first form stands unless another is worth it", "[form]") {
  CHECK(fastest_form(std::array{costs({{1, 100us}}), costs({{1, 98us}})}, 1) == 0);
  CHECK(fastest_form(std::array{costs({{1, 100us}}), costs({{1, 96us}})}, 1) == 1);
  // Among others, the faster, by however little.
  CHECK(fastest_form(std::array{costs({{1, 100us}}), costs({{1, 90us}}), costs({{1, 89us}})}, 1) ==
        2);
}

TEST_CASE("of a form that was not measured nothing is known", "[form]") {
  CHECK(fastest_form(std::array{costs({}), costs({{1, 1us}})}, 1) == 0);
  CHECK(fastest_form(std::array{costs({{1, 100us}}), costs({}), costs({{1, 50us}})}, 1) == 2);
  CHECK(fastest_form(std::array{costs({})}, 7) == 0);
}
