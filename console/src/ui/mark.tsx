// A hull and its bulkheads.
export function Mark() {
  return (
    <svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
      <path class="hull" d="M2 8h28c0 9-4 15-9 17H11C6 23 2 17 2 8z" />
      <path class="wall" d="M9 8v15.5M16 8v17M23 8v15.5" />
    </svg>
  );
}
