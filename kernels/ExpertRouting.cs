namespace LlamaServe.Kernels;

/// <summary>
/// Which experts the rows of a step go to, and with what weights: a view of the backend's memory that lives as long as a
/// <see cref="Tensor"/>. An assignment is a token with one of its experts; assignments are ordered by expert, then by token.
/// </summary>
/// <param name="Address">Where <see cref="IBackend.Route"/> left it; host memory on the CPU, device memory on a GPU.</param>
public readonly record struct ExpertRouting(nint Address, int Tokens, int Experts, int ExpertsPerToken)
{
    /// <summary>Most experts of a layer.</summary>
    public const int MaxExperts = 1024;

    /// <summary>Most experts of a token.</summary>
    public const int MaxExpertsPerToken = 32;

    /// <summary>Lists of a word an assignment from <see cref="Address"/> on, before <see cref="Groups"/>.</summary>
    internal const int ListsPerAssignment = 4;

    /// <summary>Rows of <see cref="IBackend.ExpertLinear"/>'s result.</summary>
    public int Assignments => Tokens * ExpertsPerToken;

    /// <summary>F32 [Tokens][ExpertsPerToken]: weights in the order of a token's choices, the likeliest expert first.</summary>
    internal nint Weights => Address;

    /// <summary>int32 [Tokens][ExpertsPerToken]: the experts chosen.</summary>
    internal nint Choices => Address + sizeof(int) * (nint)Assignments;

    /// <summary>int32 [Tokens][ExpertsPerToken]: which assignment each choice became.</summary>
    internal nint AssignmentOfChoice => Address + 2 * sizeof(int) * (nint)Assignments;

    /// <summary>int32 [Assignments]: the token of each.</summary>
    internal nint TokenOfAssignment => Address + 3 * sizeof(int) * (nint)Assignments;

    /// <summary>Where each expert's assignments are, in the way of the backend.</summary>
    internal nint Groups => Address + ListsPerAssignment * sizeof(int) * (nint)Assignments;
}
