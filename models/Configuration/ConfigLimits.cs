using LlamaServe.Kernels;

namespace LlamaServe.Models.Configuration;

/// <summary>The largest values that a configuration is believed; what is above comes from a damaged or hostile file.</summary>
internal static class ConfigLimits
{
    public const int HiddenSize = 1 << 16;
    public const int IntermediateSize = 1 << 19;
    public const int Experts = ExpertRouting.MaxExperts;
    public const int ExpertsPerToken = ExpertRouting.MaxExpertsPerToken;
    public const int Layers = 1 << 10;
    public const int Heads = 1 << 10;
    public const int HeadDim = 1 << 10;
    public const int VocabularySize = 1 << 22;
    public const int ContextLength = 1 << 24;
    public const double RopeTheta = 1e12;
    public const double RopeFactor = 1e6;
}
