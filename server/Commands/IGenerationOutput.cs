using LlamaServe.V1;

namespace LlamaServe.Server.Commands;

/// <summary>What becomes of a stream's messages.</summary>
internal interface IGenerationOutput
{
    void Add(GenerateResponse response);

    /// <summary>The stream has ended well.</summary>
    void End();

    /// <summary>The stream broke off.</summary>
    void Break();
}
