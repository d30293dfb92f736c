// What a host does first: the same program for every way of getting galley.
#include <galley/galley.hpp>

#include <cstdio>
#include <string>
#include <vector>

#ifdef WITH_TORCH
int use_torch();
#endif
#ifdef WITH_LOAD
int use_load();
#endif
#ifdef WITH_FORMAT
std::string host_format(int answer);
#endif

int main() {
  const auto half = galley::map([](const int& n) -> galley::Result<int> {
    if (n % 2 != 0) return galley::Error(galley::Status::invalid_argument, "odd");
    return n / 2;
  });
  const auto text = galley::map([](const int& n) { return std::to_string(n); });
  const auto graph = half | text;

  galley::ThreadPool pool{{.workers = 1}};
  for (const auto& servable : {graph, galley::on(pool, graph)}) {
    const galley::Outcomes<std::string> answers = servable.serve_rows(galley::Rows<int>{84, 7, 2});
    if (answers.size() != 3 || !answers[0] || *answers[0] != "42" || answers[1] ||
        *answers[2] != "1") {
      return 1;
    }
  }
#ifdef WITH_FORMAT
  if (host_format(42) != "042") return 2;
#endif
#ifdef WITH_LOAD
  if (const int wrong = use_load(); wrong != 0) return wrong;
#endif
#ifdef WITH_TORCH
  if (const int wrong = use_torch(); wrong != 0) return wrong;
#endif
  std::puts("served");
  return 0;
}
