using System.Numerics;

namespace LlamaServe.Kernels.Tests;

/// <summary>Trees of drafts: for each token those that it sees, bit j for token j.</summary>
internal static class DraftTree
{
    /// <summary>Each token's parent is any token before it, or none.</summary>
    public static ulong[] Random(int tokens, int seed)
    {
        Random random = new(seed);
        return Of([.. Enumerable.Range(0, tokens).Select(i => random.Next(-1, i))]);
    }

    /// <param name="parents">−1 for a token right behind the committed ones.</param>
    public static ulong[] Of(params int[] parents)
    {
        ulong[] tree = new ulong[parents.Length];
        for (int i = 0; i < tree.Length; i++)
        {
            tree[i] = (parents[i] < 0 ? 0 : tree[parents[i]]) | 1UL << i;
        }
        return tree;
    }

    public static int Depth(ulong ancestors) => BitOperations.PopCount(ancestors) - 1;
}
