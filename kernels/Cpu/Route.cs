using System.Numerics.Tensors;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// The likeliest experts of each row of router logits, equal ones by the lower id, with weights of a softmax over all experts or
/// over those chosen; then all assignments sorted by expert.
/// </summary>
internal static unsafe class Route
{
    /// <summary>An expert's logit costs about as much as this many copied elements, for each choice.</summary>
    private const int CostPerElement = 4;

    /// <summary>Words of a routing, whose groups are int32 [Experts + 1]: the first assignment of each expert, then their number.</summary>
    public static int Words(ExpertRouting routing) => ExpertRouting.ListsPerAssignment * routing.Assignments + routing.Experts + 1;

    /// <param name="logits">[Tokens, Experts].</param>
    /// <param name="routing">Receives the routing.</param>
    /// <param name="renormalize">Whether a token's weights sum to one.</param>
    public static void Run(WorkerPool pool, Tensor logits, ExpertRouting routing, bool renormalize)
    {
        int chunks = RowChunks.Count(routing.Tokens, (long)CostPerElement * routing.Experts * routing.ExpertsPerToken, pool.ThreadCount);
        pool.Run(new Job(logits, routing, renormalize, chunks), chunks);
        Sort(routing);
    }

    private static void Choose(ReadOnlySpan<float> logits, Span<int> choices, Span<float> weights, bool renormalize)
    {
        Span<float> left = stackalloc float[logits.Length];
        for (int expert = 0; expert < left.Length; expert++)
        {
            left[expert] = float.IsNaN(logits[expert]) ? float.NegativeInfinity : logits[expert];
        }
        for (int i = 0; i < choices.Length; i++)
        {
            choices[i] = Largest(left);
            left[choices[i]] = float.NaN;
        }
        float max = logits[choices[0]], sum = 0;
        for (int i = 0; i < choices.Length; i++)
        {
            weights[i] = MathF.Exp(logits[choices[i]] - max);
            sum += weights[i];
        }
        if (!renormalize)
        {
            sum = 0;
            foreach (float logit in logits)
            {
                sum += MathF.Exp(logit - max);
            }
        }
        TensorPrimitives.Divide(weights, sum, weights);
    }

    /// <summary>The first of the largest, where taken ones are NaN.</summary>
    private static int Largest(ReadOnlySpan<float> left)
    {
        int best = -1;
        for (int i = 0; i < left.Length; i++)
        {
            if (!float.IsNaN(left[i]) && (best < 0 || left[i] > left[best]))
            {
                best = i;
            }
        }
        return best;
    }

    private static void Sort(ExpertRouting routing)
    {
        int* choices = (int*)routing.Choices, assignmentOf = (int*)routing.AssignmentOfChoice, tokenOf = (int*)routing.TokenOfAssignment;
        Span<int> offsets = new((int*)routing.Groups, routing.Experts + 1), next = stackalloc int[routing.Experts];
        offsets.Clear();
        for (int choice = 0; choice < routing.Assignments; choice++)
        {
            offsets[choices[choice] + 1]++;
        }
        for (int expert = 0; expert < routing.Experts; expert++)
        {
            next[expert] = offsets[expert];
            offsets[expert + 1] += offsets[expert];
        }
        for (int choice = 0; choice < routing.Assignments; choice++)
        {
            int assignment = next[choices[choice]]++;
            assignmentOf[choice] = assignment;
            tokenOf[assignment] = choice / routing.ExpertsPerToken;
        }
    }

    private readonly struct Job(Tensor logits, ExpertRouting routing, bool renormalize, int chunks) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            int k = routing.ExpertsPerToken, end = RowChunks.Start(chunk + 1, chunks, routing.Tokens);
            for (int token = RowChunks.Start(chunk, chunks, routing.Tokens); token < end; token++)
            {
                Choose(
                    new ReadOnlySpan<float>((float*)logits.Address + (long)token * logits.RowStride, routing.Experts),
                    new Span<int>((int*)routing.Choices + (long)token * k, k), new Span<float>((float*)routing.Weights + (long)token * k, k),
                    renormalize);
            }
        }
    }
}
